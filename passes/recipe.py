"""What a target wants quantized, and how: pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from qcompile.ir.node import Node
from qcompile.ir.ops.quant import Spec
from qcompile.ir.types import I8, U8, Scalar


@dataclass(frozen=True)
class Recipe:
    """Formats of activations and weights, and what stays in float.

    `exclude` holds glob patterns on node names, or `op:Conv`. `wide_sums`: a sum that only an
    addition reads stays in 32 bits; engines that fuse Q/DQ pairs want it in 8.
    """

    activation: Spec = field(default_factory=lambda: Spec(U8, symmetric=False, method="auto"))
    weight: Scalar = I8
    exclude: tuple[str, ...] = ()
    wide_sums: bool = True

    def excludes(self, node: Node) -> bool:
        """True when a pattern names this node or its operation."""
        return any(_matches(node, pattern) for pattern in self.exclude)


def _matches(node: Node, pattern: str) -> bool:
    if pattern.startswith("op:"):
        wanted = pattern[3:].replace("_", "").lower()
        return fnmatchcase(node.op.replace("_", ""), wanted)
    return fnmatchcase(node.name, pattern)
