"""How much of a model became integers, and why the rest did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.integer import ExpandGroups, Requantize
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.quant import Dequantize, FakeQuant, FakeQuantDynamic, Quantize
from qcompile.ir.ops.reduce import ArgMax, ArgMin
from qcompile.ir.ops.source import Const, Input
from qcompile.islands import in_words, regions
from qcompile.numerics.hadamard import additions
from qcompile.passes.recipe import Recipe
from qcompile.passes.roles import Role, role


@dataclass(frozen=True)
class Coverage:
    """Operations and multiply-accumulates in integers and in all; float islands with reasons.

    `macs_by_bits`: those in integers, by the bits of weights and of activations.
    """

    ops_integer: int
    ops_total: int
    macs_integer: int
    macs_total: int
    islands: Mapping[str, str]
    macs_by_bits: Mapping[tuple[int, int], int]

    @property
    def integer_only(self) -> bool:
        """No real arithmetic between the first quantize and the last dequantize."""
        return not self.islands


def coverage(graph: Graph, recipe: Recipe) -> Coverage:
    """Counts an integer graph's operations; conversions count as neither."""
    counted = [n for n in graph.nodes if not isinstance(n, _UNCOUNTED)]
    whole = [n for n in counted if in_integers(n)]
    return Coverage(
        len(whole),
        len(counted),
        sum(map(macs, whole)),
        sum(map(macs, counted)),
        _islands(graph, [n for n in counted if not in_integers(n)], recipe),
        _by_bits(whole),
    )


_UNCOUNTED = (
    Input, Const, Quantize, Dequantize, Requantize, FakeQuant, FakeQuantDynamic, ExpandGroups,
)  # fmt: skip


def _islands(graph: Graph, floats: Sequence[Node], recipe: Recipe) -> dict[str, str]:
    """Regions around products that scale at run time, then every other operation by itself."""
    own = [n for n in floats if not isinstance(n, Foreign) and not recipe.excludes(n)]
    joined = regions(graph, own)
    known = {node for region in joined for node in region}
    found = dict(in_words(region) for region in joined)
    return found | {n.name or n.op: why_float(n, recipe) for n in floats if n not in known}


def _by_bits(nodes: Sequence[Node]) -> dict[tuple[int, int], int]:
    """Multiply-accumulates by (bits of weights, bits of activations), the fewest bits first."""
    found: dict[tuple[int, int], int] = {}
    for node in nodes:
        if isinstance(node, Conv | ConvTranspose | MatMul):
            pair = _bits(node)
            found[pair] = found.get(pair, 0) + macs(node)
    return dict(sorted(found.items()))


def _bits(node: Node) -> tuple[int, int]:
    """Those of the second operand, which is the weight but for a matrix times values."""
    x, w = (o.type.elem.bits for o in node.operands[:2])
    return (x, w) if isinstance(node.operands[0], Const) else (w, x)


def in_integers(node: Node) -> bool:
    """The node computes on integers that stand for reals (or moves plain integers about)."""
    if isinstance(node, ArgMax | ArgMin):
        return node.operands[0].type.is_quantized
    return node.type.is_quantized or not (
        node.type.is_float or any(o.type.is_float for o in node.operands)
    )


def why_float(node: Node, recipe: Recipe) -> str:
    """One sentence: why this operation is computed in reals."""
    if isinstance(node, Foreign):
        return f"operator {node.title} is foreign to the compiler: it runs in onnxruntime"
    if recipe.excludes(node):
        return "excluded by the user"
    if role(node) is Role.FLOAT:
        return f"{node.op} has no integer form yet"
    return "its operands stay in float, or its sum could pass 32 bits"


def macs(node: Node) -> int:
    """Multiply-accumulates of a contraction, 0 for anything else.

    Each addition of a Hadamard transform counts as one: size·(k + K) for a block of size K·2^k.
    """
    sizes = [d for d in node.type.shape if isinstance(d, int)]
    match node:
        case Conv(w=w):
            return prod(sizes) * prod(d for d in w.type.shape[1:] if isinstance(d, int))
        case ConvTranspose(x=x, w=w):
            inputs = prod(d for d in x.type.shape if isinstance(d, int))
            return inputs * prod(d for d in w.type.shape[1:] if isinstance(d, int))
        case MatMul(a=a):
            inner = a.type.shape[-1]
            return prod(sizes) * (inner if isinstance(inner, int) else 1)
        case Hadamard(size=size):
            return prod(sizes) // size * additions(size)
        case _:
            return 0
