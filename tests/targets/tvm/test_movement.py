"""Moves, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from qcompile.ir.node import Node
from qcompile.ir.ops.integer import requantize
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.resize import ResizeLinear, ResizeNearest
from qcompile.ir.ops.shape import Concat, Expand, Gather, Pad, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import I32, I64, U8, TensorType, f32
from qcompile.ir.unit import per_tensor
from tests.targets.tvm.checks import (
    BEST,
    given,
    graph_of,
    narrowed,
    nearly,
    opened,
    same_bits,
    weights,
)  # fmt: skip


def channels_last(*shape: int) -> Node:
    """A value that a convolution wrote."""
    n, c, *spatial = shape
    return narrowed(Conv(given(n, 7, *spatial), weights(c, 7, 1, 1)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((2, 12), (24,)),
        ((2, 3, 4), (6, 4)),
        ((6, 4), (4, 6)),
        ((1, 20, 1, 1), (1, 20)),
        ((2, 6, 5, 4), (2, 120)),
        ((2, 30), (2, 5, 6)),
        ((8, 9), (1, 8, 1, 9)),
    ],
)
def test_reshape(before: tuple[int, ...], after: tuple[int, ...], tmp_path: Path):
    same_bits(graph_of(Reshape(given(*before), after)), tmp_path)


def test_reshape_of_channels_last(tmp_path: Path):
    same_bits(graph_of(Reshape(channels_last(1, 20, 3, 5), (1, 300))), tmp_path)


def test_flatten_then_product(tmp_path: Path):
    flat = Reshape(channels_last(1, 10, 3, 4), (1, 120))
    same_bits(graph_of(narrowed(MatMul(flat, weights(120, 9, axis=1)))), tmp_path)


@pytest.mark.parametrize("perm", [(1, 0, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0)])
def test_transpose(perm: tuple[int, ...], tmp_path: Path):
    same_bits(graph_of(Transpose(given(2, 3, 4, 17), perm)), tmp_path)


def test_transpose_before_a_product(tmp_path: Path):
    moved = Transpose(given(20, 7), (1, 0))
    same_bits(graph_of(narrowed(MatMul(moved, weights(20, 18, axis=1)))), tmp_path)


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_concat(axis: int, tmp_path: Path):
    parts = [channels_last(2, 10, 4, 5), channels_last(2, 10, 4, 5)]
    same_bits(graph_of(Concat(tuple(parts), axis)), tmp_path)


def test_concat_of_uneven_channels(tmp_path: Path):
    common = per_tensor(0.5, 100)
    parts = tuple(requantize(channels_last(1, c, 3, 3), U8, common) for c in (3, 17, 1, 11))
    joined = Concat(parts, 1)
    behind = narrowed(Conv(joined, weights(8, 32, 3, 3), pads=(1, 1, 1, 1)))
    same_bits(graph_of(joined, behind), tmp_path)


SLICES = {
    "channels": ((1,), (3,), (11,), (1,)),
    "strided rows": ((2,), (1,), (8,), (3,)),
    "backwards": ((3,), (5,), (-1,), (-2,)),
    "two axes": ((1, 3), (0, 2), (5, 6), (2, 1)),
}


@pytest.mark.parametrize("case", SLICES)
def test_slice(case: str, tmp_path: Path):
    same_bits(graph_of(Slice(channels_last(2, 20, 8, 6), *SLICES[case])), tmp_path)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_pad(mode: str, tmp_path: Path):
    node = Pad(channels_last(1, 10, 5, 6), (0, 0, 1, 2, 0, 0, 3, 0), mode)
    same_bits(graph_of(node), tmp_path)


def test_pad_that_cuts_and_pads_channels(tmp_path: Path):
    same_bits(graph_of(Pad(channels_last(1, 10, 5, 6), (0, 3, -1, 2, 0, 9, 0, -2))), tmp_path)


def test_expand(tmp_path: Path):
    same_bits(graph_of(Expand(given(3, 1, 20), (2, 3, 4, 20))), tmp_path)


@pytest.mark.parametrize(
    ("axis", "indices"),
    [(0, [2, 0, -1]), (1, [[1, 3], [0, 0]]), (2, [4, 4, 1, -2]), (2, 3)],
)
def test_gather_at_constants(axis: int, indices: object, tmp_path: Path):
    node = Gather(given(3, 4, 6), const(np.array(indices, np.int64)), axis)
    same_bits(graph_of(node), tmp_path)


def test_gather_at_values(tmp_path: Path):
    places = Input(TensorType((2, 5), I64), name="places")
    table = const(np.random.default_rng(0).standard_normal((9, 20)).astype(np.float32))
    graph = graph_of(Gather(table, places, 0))
    chosen = np.array([[0, 8, 3, -1, 2], [1, 1, 1, -9, 5]])
    with opened(graph, tmp_path, BEST) as library:
        (found,) = library.run([chosen])
    np.testing.assert_array_equal(found, graph.run(chosen)[0])


def test_resize_nearest(tmp_path: Path):
    node = ResizeNearest(channels_last(1, 20, 4, 3), ((0, 0, 1, 2, 3, 3), (2, 1, 0, 0)))
    same_bits(graph_of(node), tmp_path)


def test_resize_linear(tmp_path: Path):
    low, frac = ((-1, 0, 1, 2), (0, 1, 2)), ((0.75, 0.25, 0.5, 0.9), (0.1, 0.0, 1.0))
    same_bits(graph_of(narrowed(ResizeLinear(channels_last(1, 20, 4, 3), low, frac))), tmp_path)


def test_resize_linear_of_reals(tmp_path: Path):
    x = Input(f32(1, 3, 4, 3), name="x")
    low, frac = ((-1, 0, 1, 2), (0, 1, 2)), ((0.75, 0.25, 0.5, 0.9), (0.1, 0.0, 1.0))
    nearly(graph_of(ResizeLinear(x, low, frac)), tmp_path)


def test_an_output_that_is_an_input(tmp_path: Path):
    x = given(2, 3, 5)
    same_bits(graph_of(x, Reshape(x, (30,))), tmp_path)


def test_a_constant_output(tmp_path: Path):
    x = Input(TensorType((4,), I32, per_tensor(0.1)), name="x")
    same_bits(graph_of(x, const(np.arange(6, dtype=np.int32).reshape(2, 3))), tmp_path)


def test_wide_integers_move_too(tmp_path: Path):
    x = Input(TensorType((2, 3, 5), I32, per_tensor(0.1)), name="x")
    same_bits(graph_of(Concat((x, Transpose(Transpose(x, (1, 0, 2)), (1, 0, 2))), 2)), tmp_path)
