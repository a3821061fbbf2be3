"""How a GPU takes loop nests: a thread a block of lanes, tensor cores for sums of products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.binary import Pow
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.quant import Quantize
from qcompile.ir.ops.source import Const
from qcompile.targets.cuda.contraction import Contraction, Summed, is_flat, nibble
from qcompile.targets.cuda.devices import T4, Chip
from qcompile.targets.cuda.measured import MeasuredTable
from qcompile.targets.cuda.products import convolve, multiply
from qcompile.targets.loops.companions import companions
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.layout import padded_width
from qcompile.targets.loops.lower.plain import convolve_plainly, depthwise, multiply_plainly
from qcompile.targets.loops.lowering import Contract, Lowering
from qcompile.targets.loops.nest import Nest, collapse, drop_unit_loops
from qcompile.targets.loops.pointwise import stored
from qcompile.targets.loops.weights import (
    dense_weights,
    is_depthwise,
    product_weights,
    takes_dot,
)
from qcompile.targets.whole_weights import with_whole_weights

LANES = 8  # a thread's elements: 4 bytes of nibbles, 8 of bytes, two 16-byte words of i32
PACKING = (Conv, ConvTranspose, MatMul, MaxPool, AveragePool)
ODD = (Pow, p.Erf, p.Gelu, Quantize)


@dataclass
class DeviceLowering(Lowering):
    """The lowering for one chip. `int4`: its tensor cores multiply 4-bit integers."""

    chip: Chip = T4
    int4: bool = False
    measured: MeasuredTable | None = None

    def contraction(self, node: Conv | ConvTranspose | MatMul) -> Contract:
        """Tensor cores for bytes and nibbles, multiply and add for the rest."""
        match node:
            case Conv() if is_depthwise(node):
                return depthwise
            case Conv() | ConvTranspose() if takes_dot(node.x, dense_weights(node)) and whole(node):
                return convolve
            case Conv() | ConvTranspose():
                return convolve_plainly
            case MatMul(a=a, b=Const()) if is_flat(node) and takes_dot(a, product_weights(node)):
                return multiply
            case MatMul():
                return multiply_plainly

    def scheduled(self, nest: Nest) -> Nest:
        """Loops merged, so that few divisions are left."""
        return collapse(drop_unit_loops(nest))

    def format_of(self, group: Group) -> str:
        """Four-bit values are packed where whole bytes of neighbours are written together."""
        elem = group.head.type.elem
        packs = (
            elem.bits <= 4
            and not elem.is_float
            and group.head.type.unit is not None
            and (group.root is None or isinstance(group.root, PACKING))
            and not any(isinstance(member, ODD) for member in group.members)
        )
        return nibble(elem) if packs else stored(elem)

    def companions(self, every: Sequence[Group]) -> Mapping[Node, Group]:
        """Narrow copies leave the kernel that makes the value."""
        return companions(every, self.graph)

    def padded(self, extent: int, elem: str) -> int:
        """Rows of bytes and nibbles end on 16 bytes; up to four bytes are one word."""
        if elem in ("u4", "i4"):
            return -(-extent // 32) * 32
        if elem in ("u8", "i8") and extent <= 4:
            return 4
        return padded_width(extent)

    def planned(self, plan: Contraction | Summed) -> None:
        """Says how the last step is run."""
        self.steps[-1] = replace(self.steps[-1], plan=plan)


def whole(node: Conv | ConvTranspose) -> bool:
    """Windows of channels can start at whole chunks: rows of x are no shorter than one."""
    channels = node.x.type.shape[1]
    return node.groups == 1 or (isinstance(channels, int) and channels > 4)


def on(chip: Chip, graph: Graph, *, int4: bool) -> DeviceLowering:
    """A fresh lowering of the graph for a chip."""
    return DeviceLowering(with_whole_weights(graph), LANES, chip=chip, int4=int4)
