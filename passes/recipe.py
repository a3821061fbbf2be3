"""What a target wants quantized, and how: pure data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from qcompile.ir.node import Node
from qcompile.ir.ops.quant import Spec
from qcompile.ir.types import U8, Scalar
from qcompile.ir.widths import Widths
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.patterns import names

TRANSFORMED_BITS = 16  # of what a Hadamard transform reads


@dataclass(frozen=True)
class Recipe:
    """Formats of activations and weights, and what stays in float.

    `activation` is how most edges are quantized; contractions of fewer bits read copies that
    differ from it in width alone. `exclude` holds glob patterns on node names, or `op:Conv`.
    `wide_sums`: a sum that only an addition reads stays in 32 bits; engines that fuse Q/DQ pairs
    want it in 8. `rounding` names how weights of fewer than 8 bits take their integers, one of the
    policies in `qcompile.passes.rounding.policy`. `options`: the widths among which bits are chosen
    layer by layer.
    """

    activation: Spec = field(default_factory=lambda: Spec(U8, symmetric=False, method="auto"))
    widths: WidthRule = field(default_factory=WidthRule)
    exclude: tuple[str, ...] = ()
    wide_sums: bool = True
    rounding: str = "nearest"
    options: tuple[Widths, ...] = tuple(Widths(bits, 8) for bits in (2, 3, 4, 6, 8))

    def excludes(self, node: Node) -> bool:
        """True when a pattern names this node or its operation."""
        return any(names(pattern, node) for pattern in self.exclude)

    def activation_of(self, bits: int) -> Spec:
        """How an edge of this width is quantized; one of 16 bits keeps its whole range."""
        elem = self.activation.elem
        if bits == TRANSFORMED_BITS:
            return Spec(Scalar(f"i{bits}"), symmetric=False, method="minmax")
        if bits == elem.bits:
            return self.activation
        return replace(self.activation, elem=Scalar(f"{elem.name[0]}{bits}"))

    def token_of(self, bits: int, axis: int) -> Spec:
        """How a value is quantized whose vectors along the axis are scaled at run time."""
        return Spec(Scalar(f"i{bits}"), symmetric=True, along=axis)

    def weight_of(self, bits: int, axis: int | None, group: int | None = None) -> Spec:
        """How a weight of this width is quantized: symmetric, below 8 bits with a clip searched."""
        method = "minmax" if bits == 8 else "mse"
        return Spec(Scalar(f"i{bits}"), symmetric=True, axis=axis, method=method, group=group)
