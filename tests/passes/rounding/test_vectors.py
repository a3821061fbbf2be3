"""Rows and the vectors that they meet give what the operation gives."""

from __future__ import annotations

import numpy as np
import pytest

from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Input
from qcompile.ir.types import F32, TensorType
from qcompile.passes.rounding.layout import from_rows, to_rows
from qcompile.passes.rounding.vectors import met, spread
from tests.helpers import reals, seeded_array


def source(*shape: int) -> Input:
    return Input(TensorType(shape, F32))


CASES = {
    "conv": Conv(source(1, 4, 7, 6), reals(5, 4, 3, 3), pads=(1, 0, 1, 2), stride=(2, 1)),
    "dilated": Conv(source(1, 2, 9, 9), reals(3, 2, 3, 2), dilation=(2, 3)),
    "in groups": Conv(source(1, 6, 5, 5), reals(4, 3, 3, 3), groups=2),
    "depthwise": Conv(source(1, 6, 5, 5), reals(6, 1, 3, 3), groups=6, pads=(1, 1, 1, 1)),
    "pointwise": Conv(source(2, 6, 5, 5), reals(8, 6, 1, 1)),
    "one axis": Conv(
        source(1, 3, 9), reals(4, 3, 3), stride=(2,), pads=(1, 1), dilation=(1,)
    ),
    "transposed": ConvTranspose(source(1, 3, 4, 5), reals(3, 2, 3, 3), stride=(2, 3)),
    "transposed, padded": ConvTranspose(
        source(1, 4, 4, 4), reals(4, 2, 4, 4), stride=(2, 2), pads=(1, 1, 1, 1), groups=2
    ),
    "transposed, dilated, longer": ConvTranspose(
        source(1, 3, 4, 4), reals(3, 2, 2, 2), stride=(2, 2), dilation=(2, 2),
        output_padding=(1, 1), pads=(3, 0, 1, 1),
    ),
    "product": MatMul(source(2, 5, 4), reals(4, 3)),
}  # fmt: skip
ALL = pytest.mark.parametrize("node", CASES.values(), ids=CASES)


@ALL
def test_rows_times_vectors_are_the_values(node: Node):
    x, w = seeded_array(node.operands[0].type), node.operands[1].evaluate()
    vectors, rows = met(node, x, limit=1 << 20), to_rows(node, w)
    products = np.einsum("pgn,grn->pgr", vectors, rows).reshape(len(vectors), -1)
    value = node.evaluate(x, w)
    channels = np.moveaxis(value, -1 if isinstance(node, MatMul) else 1, -1)
    np.testing.assert_allclose(products, channels.reshape(len(products), -1), rtol=0, atol=1e-4)


@ALL
def test_rows_turn_back_into_the_weight(node: Node):
    w = node.operands[1].evaluate()
    np.testing.assert_array_equal(from_rows(node, to_rows(node, w), w.shape), w)


def test_places_are_spread_one_over_each_stretch():
    np.testing.assert_array_equal(spread(1000, 10) // 100, np.arange(10))
    np.testing.assert_array_equal(spread(7, 10), np.arange(7))
