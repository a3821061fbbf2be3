"""Values moved about: the same bits on every element format."""

from __future__ import annotations

import numpy as np
import pytest

from qcompile.ir.dims import Symbol
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.resize import ResizeLinear, ResizeNearest
from qcompile.ir.ops.shape import (
    Concat,
    Expand,
    Gather,
    Pad,
    Reshape,
    ShapeOf,
    Slice,
    Transpose,
)
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import F32, TensorType
from qcompile.targets.onnx import to_onnx
from tests.targets.onnx.checks import graph_of, ints, near, reals, same_bits

ELEMENTS = ["u8", "i8", "i4", "i16", "i32"]


@pytest.mark.parametrize("elem", ELEMENTS)
def test_moves(elem: str):
    x = ints(elem, 2, 3, 4, 5, zero=2)
    same_bits(
        Reshape(x, (6, 20)),
        Transpose(x, (2, 0, 3, 1)),
        Slice(x, (1, 3), (0, 4), (2, -1), (1, -2)),
        Slice(x, (2,), (1,), (4,), (2,)),
        Gather(x, const(np.array([[2, 0], [-1, 1]], np.int32)), 2),
        Expand(Slice(x, (0,), (0,), (1,), (1,)), (4, 3, 4, 5)),
        Concat((x, x, Transpose(x, (0, 1, 2, 3))), 2),
    )


@pytest.mark.parametrize("elem", ELEMENTS)
def test_concat_of_different_units(elem: str):
    same_bits(Concat((ints(elem, 2, 3), ints(elem, 2, 4, scale=0.7, zero=3, name="b")), 1))


@pytest.mark.parametrize("elem", ELEMENTS)
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pads(mode: str, elem: str):
    x = ints(elem, 2, 3, 4, 5, zero=2)
    same_bits(
        Pad(x, (0, 0, 2, 1, 0, 0, 1, 3), mode),
        Pad(x, (0, 0, -1, 1, 0, 0, 1, -2), mode, 0.3),
    )


@pytest.mark.parametrize("elem", ["u8", "i8", "i4", "i16"])
def test_resizes(elem: str):
    x = ints(elem, 2, 3, 4, 5, zero=3)
    low = ((-1, 0, 0, 1, 1, 2, 2, 3), (0, 1, 2, 3, 4))
    frac = ((0.75, 0.25, 0.75, 0.25, 0.75, 0.25, 0.75, 0.25), (0.0, 0.1, 0.5, 0.9, 0.3))
    same_bits(
        ResizeNearest(x, ((0, 0, 1, 1, 2, 2, 3, 3), (4, 2, 0))),
        ResizeLinear(x, low, frac),
        ResizeLinear(x, low[1:], frac[1:]),
    )


def test_float_resizes():
    x = reals(2, 3, 4, 5)
    near(
        ResizeLinear(x, ((-1, 0, 1), (0, 4, 2)), ((0.75, 0.25, 0.5), (0.0, 0.1, 0.5))),
        ResizeNearest(x, ((0, 0, 1), (4, 2, 0))),
    )


def test_open_dimensions_keep_their_names():
    x = Input(TensorType((Symbol("n"), 3, 4), F32), name="x")
    graph = graph_of(Relu(x), Reshape(x, (Symbol("n"), 12)), ShapeOf(x))
    model = to_onnx(graph)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
