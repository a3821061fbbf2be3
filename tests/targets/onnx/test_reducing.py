"""Pools and reductions on integers: the same bits; on floats: up to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcompile.ir.ops.norm import BatchNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RmsNorm
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.reduce import (
    ArgMax,
    ArgMin,
    LogSoftmax,
    ReduceL2,
    ReduceLogSumExp,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    Softmax,
)
from qcompile.ir.ops.source import const
from qcompile.targets.onnx import to_onnx
from tests.targets.onnx.checks import graph_of, ints, near, reals, same_bits

POOLS: dict[str, tuple[tuple[int, ...], tuple[Any, ...], bool]] = {
    "plain": ((2, 3, 8, 6), ((2, 2), (2, 2), (0, 0, 0, 0), (1, 1)), False),
    "padded": ((1, 3, 9, 7), ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1)), False),
    "ragged": ((1, 3, 9, 8), ((3, 2), (2, 3), (1, 0, 2, 1), (1, 1)), False),
    "dilated": ((1, 3, 9, 9), ((3, 2), (1, 2), (1, 1, 1, 0), (2, 3)), False),
    "overhanging": ((1, 3, 8, 9), ((3, 3), (2, 3), (0, 0, 0, 0), (1, 1)), True),
    "overhanging and padded": ((1, 3, 8, 10), ((3, 3), (2, 3), (1, 1, 1, 0), (1, 1)), True),
    "with room left": ((1, 3, 7, 7), ((2, 2), (3, 3), (1, 1, 1, 1), (1, 1)), True),
    "global": ((2, 3, 7, 5), ((7, 5), (1, 1), (0, 0, 0, 0), (1, 1)), False),
    "one axis": ((2, 3, 11), ((3,), (2,), (1, 0), (1,)), False),
    "three axes": ((1, 2, 5, 6, 4), ((2, 3, 2), (1, 2, 2), (1, 0, 0, 0, 1, 1), (1,) * 3), False),
}


@pytest.mark.parametrize("elem", ["u8", "i8", "i4", "i32", "i16"])
@pytest.mark.parametrize("form", POOLS)
def test_max_pool(form: str, elem: str):
    shape, geometry, ceil = POOLS[form]
    same_bits(MaxPool(ints(elem, *shape), *geometry, ceil=ceil))


@pytest.mark.parametrize("elem", ["u8", "i8", "i4", "i16"])
@pytest.mark.parametrize("border", [False, True])
@pytest.mark.parametrize("form", POOLS)
def test_average_pool(form: str, border: bool, elem: str):
    shape, geometry, ceil = POOLS[form]
    x = ints(elem, *shape, zero=-3 if elem[0] == "i" else 9)
    same_bits(AveragePool(x, *geometry, ceil=ceil, count_border=border))


@pytest.mark.parametrize("border", [False, True])
@pytest.mark.parametrize("form", POOLS)
def test_float_pools(form: str, border: bool):
    shape, geometry, ceil = POOLS[form]
    x = reals(*shape)
    near(
        AveragePool(x, *geometry, ceil=ceil, count_border=border),
        MaxPool(x, *geometry, ceil=ceil),
    )


@pytest.mark.parametrize("elem", ["u8", "i8", "i4", "i16", "i32"])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("op", [ReduceSum, ReduceMean, ReduceMax, ReduceMin])
def test_reductions(op: Any, keepdims: bool, elem: str):
    x = ints(elem, 2, 3, 4, 5, zero=0 if elem == "i32" else 3)
    given = {"x": (np.arange(120).reshape(2, 3, 4, 5) % 13 - (elem[0] == "i")).astype(
        x.type.elem.storage
    )}  # fmt: skip
    same_bits(op(x, (1, 3), keepdims), inputs=given)


@pytest.mark.parametrize("elem", ["u8", "i8", "i16", "i32"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("op", [ArgMax, ArgMin])
def test_arg(op: Any, last: bool, elem: str):
    x = ints(elem, 3, 40, 2)
    values = (np.arange(240).reshape(3, 40, 2) % 11).astype(x.type.elem.storage)
    same_bits(op(x, 1, last=last), op(x, 1, False, last), inputs={"x": values})


def test_float_reductions():
    x = reals(2, 3, 4)
    ops = (ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd, ReduceL2, ReduceLogSumExp)
    near(*(op(x, (0, 2), False) for op in ops))


def test_reductions_in_a_later_operator_set():
    x = reals(2, 3, 4)
    pool = AveragePool(reals(1, 1, 9, 9, name="p"), (2, 2), (1, 1), (0, 0, 0, 0), (2, 2))
    graph = near(ReduceMax(x, (1,)), ReduceMean(x, (1,)), ArgMax(x, 0), pool)
    assert to_onnx(graph).opset_import[0].version == 19


def test_softmax_and_arg_on_floats():
    x = reals(2, 3, 4)
    near(Softmax(x, 1), LogSoftmax(x, 2), ArgMin(x, 2, last=True))


def test_norms():
    rng = np.random.default_rng(0)
    x = reals(2, 3, 4, 5)
    gamma, beta, mean, var = (
        const(rng.uniform(0.5, 2, 3).astype(np.float32), name=f"c{i}") for i in range(4)
    )
    last = [const(rng.uniform(0.5, 2, 5).astype(np.float32), name=f"d{i}") for i in range(2)]
    graph = near(
        BatchNorm(x, gamma, beta, mean, var, 1e-3),
        InstanceNorm(x, gamma, beta),
        LayerNorm(x, last[0], last[1], 3),
        LayerNorm(x, last[0], None, 3),
        LayerNorm(x, None, last[1], 3),
        LayerNorm(x, axis=2),
        RmsNorm(x, last[0], 3),
        RmsNorm(x, axis=2, eps=1.0),
        LocalResponseNorm(x, 3),
    )
    assert to_onnx(graph).opset_import[0].version == 17
    assert to_onnx(graph_of(BatchNorm(x, gamma, beta, mean, var))).ir_version <= 8
