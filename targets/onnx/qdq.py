"""FakeQuant as QuantizeLinear and DequantizeLinear, in the form that inference engines fuse.

Activations: one Q/DQ pair on each edge. Weights: stored as integers behind a DequantizeLinear.
Biases: int32 behind a DequantizeLinear whose scale is the product of input and weight scale, as
onnxruntime before 1.26 wants them; or floats, as TensorRT does, which takes no int32 there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.blob import Blob
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.pool import MaxPool
from qcompile.ir.ops.quant import Dequantize, FakeQuant, expanded, to_integers
from qcompile.ir.ops.resize import ResizeNearest
from qcompile.ir.ops.shape import Expand, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.types import I32, Array, Scalar
from qcompile.ir.unit import Affine
from qcompile.targets.onnx.borders import check_ungrouped, quantize_linear
from qcompile.targets.onnx.bytes8 import sizes
from qcompile.targets.onnx.contract import conv, conv_transpose, matmul
from qcompile.targets.onnx.model import Handler, Writer
from qcompile.targets.onnx.rescale import multiplied
from qcompile.targets.whole_weights import held


def fake_quant(w: Writer, node: FakeQuant) -> None:
    """A pair on a computed edge; one DequantizeLinear on a constant, its groups expanded."""
    since = 21 if node.elem.storage.itemsize == 2 else 13
    if w.is_constant(node.x):
        whole = _stored(w, node, node.elem, node.unit)
    else:
        check_ungrouped(node, node.unit)
        x = _held_inside(w, node)
        whole = quantize_linear(w, x, node.elem, node.unit, since=since)
    _dequantize(w, whole, node.elem, node.unit, out=w.names[node], since=since)


def with_stored_weights(graph: Graph) -> Graph:
    """The same values with constants that are snapped to a grid held as its integers."""
    return rewrite(graph, _as_integers)


def _as_integers(node: Node, _: Site) -> Dequantize | None:
    match node:
        case FakeQuant(x=Const() as x, elem=elem, unit=unit):
            integers = held(
                Blob(x.data.shape, elem.storage, lambda: to_integers(x.array, elem, unit))
            )
            return Dequantize(Const(integers, elem, unit, name=x.name), name=node.name)
        case _:
            return None


def stored_reals(w: Writer, node: Dequantize) -> None:
    """A DequantizeLinear behind the integers of a weight, its groups multiplied out before."""
    assert node.x.type.unit is not None
    elem, unit = node.x.type.elem, node.x.type.unit
    whole = w.value(node.x) if unit.group is None else multiplied(w, node.x)
    _dequantize(w, whole, elem, unit, out=w.names[node])


def _stored(w: Writer, node: FakeQuant, elem: Scalar, unit: Affine) -> str:
    name = f"{w.names[node]}~q"

    def load() -> Array:
        narrow = to_integers(w.load(node.x), elem, unit)
        return narrow if unit.group is None else expanded(narrow, unit)

    return w.promise(name, elem.storage, sizes(node.type), load)


def _held_inside(w: Writer, node: FakeQuant) -> str:
    """x clipped to what fewer bits than the storage's can hold."""
    elem, unit, x = node.elem, node.unit, w.value(node.x)
    if elem.bits == 8 * elem.storage.itemsize:
        return x
    zero, scale = unit.zero_points(node.type.rank), unit.scales(node.type.rank)
    raised = w.op("Max", [x, w.constant((elem.lo - zero) * scale, np.float32)])
    return w.op("Min", [raised, w.constant((elem.hi - zero) * scale, np.float32)])


def _dequantize(
    w: Writer, whole: str, elem: Scalar, unit: Affine, *, out: str, since: int = 13
) -> str:
    one = unit.axis is None
    zero: NDArray[np.int64] = np.broadcast_to(np.array(unit.zero_point), (len(unit.scale),))
    scale = w.constant(unit.scale[0] if one else unit.scale, np.float32)
    point = w.unshared(zero[0] if one else zero, elem.storage)
    axis = 0 if one and elem == I32 else unit.axis
    return w.op("DequantizeLinear", [whole, scale, point], out=out, axis=axis, since=since)


def with_bias(w: Writer, node: Conv | ConvTranspose | MatMul) -> None:
    """The float operator, its constant bias stored in 32 bits if both operands are quantized."""
    bias = _stored_bias(w, node)
    match node:
        case Conv():
            conv(w, node)
        case ConvTranspose():
            conv_transpose(w, node)
        case MatMul():
            matmul(w, node)
    if bias is not None:
        w.nodes[-1].input[-1] = bias


def _stored_bias(w: Writer, node: Conv | ConvTranspose | MatMul) -> str | None:
    bias = node.bias
    x, weight = (_grid(operand) for operand in node.operands[:2])
    if bias is None or not w.is_constant(bias):
        return None
    if x is None or weight is None or not x.per_tensor:
        return None
    unit = _bias_unit(node, x, weight)

    def load() -> Array:
        steps = w.load(bias).astype(np.float64) / unit.scales(1)
        return np.clip(np.rint(steps), I32.lo + 1, I32.hi).astype(np.int32)

    whole = w.promise(w.fresh(), np.dtype(np.int32), sizes(bias.type), load)
    return _dequantize(w, whole, I32, unit, out=w.fresh())


def _grid(node: Node) -> Affine | None:
    """The unit that a value was snapped to, before it was only moved about."""
    while isinstance(node, Reshape | Transpose | Slice | MaxPool | ResizeNearest | Expand):
        node = node.x
    match node:
        case FakeQuant(unit=unit):
            return unit
        case Dequantize(x=x):
            return x.type.unit
        case _:
            return None


def _bias_unit(node: Conv | ConvTranspose | MatMul, x: Affine, weight: Affine) -> Affine:
    scale = tuple(x.scale[0] * s for s in weight.scale)
    repeat = node.groups if isinstance(node, ConvTranspose) and len(scale) > 1 else 1
    return Affine(scale * repeat, axis=None if weight.per_tensor else 0)


FLOAT_BIASES: dict[type[Node], Handler] = {FakeQuant: fake_quant, Dequantize: stored_reals}

INTEGER_BIASES: dict[type[Node], Handler] = {
    **FLOAT_BIASES,
    Conv: with_bias,
    ConvTranspose: with_bias,
    MatMul: with_bias,
}
