"""Reductions: numpy's and torch's numbers on reals, exact sums on integers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from qcompile.errors import TypeMismatch
from qcompile.ir.node import Node
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
)  # fmt: skip
from qcompile.ir.ops.source import const
from qcompile.ir.types import I32, U8
from qcompile.ir.unit import Affine, per_tensor
from tests.helpers import assert_close, integers, reals, value

X = reals(2, 3, 4)
x = torch.tensor(value(X))

REDUCTIONS: list[tuple[Node, torch.Tensor]] = [
    (ReduceSum(X, (0, 2)), x.sum((0, 2), keepdim=True)),
    (ReduceMean(X, (1,), keepdims=False), x.mean(1)),
    (ReduceMax(X, (0, 2)), x.amax((0, 2), keepdim=True)),
    (ReduceMin(X, (1, 2), keepdims=False), x.amin((1, 2))),
    (ReduceProd(X, (1,)), x.prod(1, keepdim=True)),
    (ReduceL2(X, (2,)), x.square().sum(2, keepdim=True).sqrt()),
    (ReduceLogSumExp(X, (1, 2), keepdims=False), x.logsumexp((1, 2))),
    (ArgMax(X, 1), x.argmax(1, keepdim=True)),
    (ArgMin(X, 2, keepdims=False), x.argmin(2)),
    (Softmax(X, 1), x.softmax(1)),
    (LogSoftmax(X, 2), x.log_softmax(2)),
]


@pytest.mark.parametrize(("node", "want"), REDUCTIONS)
def test_is_torchs(node: Node, want: torch.Tensor):
    assert_close(want.numpy(), value(node), within=1e-6)


@pytest.mark.parametrize(("last", "want"), [(False, 1), (True, 2)])
def test_arg_max_of_ties_is_the_first_or_the_last(last: bool, want: int):
    assert value(ArgMax(const(np.array([1.0, 5.0, 5.0])), 0, last=last)).item() == want


SUMS = [(ReduceSum, 0.5), (ReduceMean, 0.5 / 12)]


@pytest.mark.parametrize(("kind", "scale"), SUMS)
def test_integer_sums_are_centred_and_exact(kind: Callable[..., Node], scale: float):
    q = integers(2, 3, 4, elem=U8, unit=per_tensor(0.5, 100))
    node = kind(q, (1, 2))
    assert (node.type.elem, node.type.unit) == (I32, per_tensor(scale))
    np.testing.assert_array_equal(value(node)[:, 0, 0], (value(q).astype(int) - 100).sum((1, 2)))


def test_max_keeps_the_unit():
    q = integers(2, 3, elem=U8, unit=per_tensor(0.5, 100))
    assert ReduceMax(q, (1,)).type.unit == per_tensor(0.5, 100)


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: ReduceSum(X, (3,)), r"axes \[3\] of a tensor of rank 3"),
    (lambda: Softmax(X, -1), "axis -1 of a tensor of rank 3"),
    (
        lambda: ReduceSum(integers(2, elem=U8, unit=Affine((1.0, 2.0), axis=0)), (0,)),
        "wants one scale",
    ),
    (lambda: ReduceProd(integers(2, elem=U8, unit=per_tensor(1.0)), (0,)), "not defined on quant"),
]


@pytest.mark.parametrize(("build", "complaint"), REFUSED)
def test_refuses(build: Callable[[], Any], complaint: str):
    with pytest.raises(TypeMismatch, match=complaint):
        build()
