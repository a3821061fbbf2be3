"""How a processor takes loop nests: its registers, dot instructions and schedule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const
from qcompile.targets.loops.lower.plain import convolve_plainly, depthwise, multiply_plainly
from qcompile.targets.loops.lowering import Contract, Lowering
from qcompile.targets.loops.nest import Nest
from qcompile.targets.loops.weights import (
    dense_weights,
    is_depthwise,
    product_weights,
    takes_dot,
)
from qcompile.targets.tvm.contraction import convolve, multiply
from qcompile.targets.tvm.isa import AVX512_VNNI, Isa
from qcompile.targets.tvm.schedule import schedule
from qcompile.targets.tvm.values import multiply_values, takes_values
from qcompile.targets.whole_weights import with_whole_weights


@dataclass
class NativeLowering(Lowering):
    """The lowering for one instruction set."""

    isa: Isa = AVX512_VNNI

    def contraction(self, node: Conv | ConvTranspose | MatMul) -> Contract:
        """Dot instructions for bytes, multiply and add for the rest."""
        match node:
            case Conv() if is_depthwise(node):
                return depthwise
            case Conv() | ConvTranspose() if takes_dot(node.x, dense_weights(node)):
                return partial(convolve, isa=self.isa)
            case Conv() | ConvTranspose():
                return convolve_plainly
            case MatMul(a=a, b=Const()) if takes_dot(a, product_weights(node)):
                return partial(multiply, isa=self.isa)
            case MatMul(b=b) if not isinstance(b, Const) and takes_values(node, self.isa):
                return partial(multiply_values, isa=self.isa)
            case MatMul():
                return multiply_plainly

    def scheduled(self, nest: Nest) -> Nest:
        """Tiles in registers, tasks for threads."""
        return schedule(nest, self.isa)

    def byte_lanes(self, channels: int) -> int:
        """Whole registers of bytes when the channels fill them."""
        widest = self.lanes * 4
        while widest > self.lanes and channels % widest:
            widest //= 2
        return widest


def native(graph: Graph, isa: Isa) -> NativeLowering:
    """A fresh lowering of the graph."""
    return NativeLowering(with_whole_weights(graph), isa.lanes, isa.paired, isa=isa)
