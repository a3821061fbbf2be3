"""Weights in groups and scales found at run time: the interpreter's bits on every target."""

from pathlib import Path

import numpy as np
import pytest

from qcompile.ir.graph import Graph
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.shape import Transpose
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import f32
from tests.test_same_bits import assert_same_bits, build


def weight(*shape: int, seed: int) -> Const:
    rng = np.random.default_rng(seed)
    return const((rng.standard_normal(shape) / 4).astype(np.float32), name=f"w{seed}")


def attention() -> Graph:
    """Products of values and of weights, with reals between them that IEEE fixes to the bit."""
    x = Input(f32(1, 5, 24), name="x")
    q, k, v = (MatMul(x, weight(24, 24, seed=i), name=f"m{i}") for i in range(3))
    scores = MatMul(q, Transpose(k, perm=(0, 2, 1), name="turned"), name="scores")
    mixed = MatMul(Relu(scores, name="held"), v, name="mixed")
    inner = MatMul(mixed, weight(24, 40, seed=3), name="inner")
    bias = const(np.linspace(-1, 1, 24, dtype=np.float32), name="bias")
    outer = MatMul(Relu(inner, name="bent"), weight(40, 24, seed=4), bias, name="outer")
    return Graph("attention", (x,), (("y", Add(x, outer, name="y")),))


def pictures() -> Graph:
    """Convolutions whose channels are no multiple of the groups, and a product behind them."""
    x = Input(f32(1, 3, 6, 6), name="x")
    first = Relu(Conv(x, weight(10, 3, 3, 3, seed=5), name="first"), name="r1")
    second = Relu(Conv(first, weight(12, 10, 1, 1, seed=6), name="second"), name="r2")
    return Graph(
        "pictures", (x,), (("y", Conv(second, weight(4, 12, 3, 3, seed=7), name="third")),)
    )


TOKENS = {
    "scales at run time": {"*": "W8A8-token"},
    "4 bits on both sides": {"*": "W4A4-g32-token", "mixed": "W8A4-token"},
    "only some of them": {"inner": "W8A8-token", "m1": "W3A8-g8-token", "outer": "W4A8-g16"},
}


def check_products(folder: Path, widths: dict[str, str]) -> None:
    graph = attention()
    built = build(graph, graph, folder, widths=widths)
    assert not built.artifacts["reference"].summary["integer_only"]
    assert_same_bits(built, count=6)


def check_convolutions(folder: Path, scheme: str) -> None:
    graph = pictures()
    built = build(graph, graph, folder, widths={"op:Conv": scheme})
    assert "expand_groups" in (built.artifacts["reference"].folder / "graph.qc").read_text()
    assert built.artifacts["t4-int8"].summary["integer_only"]
    assert_same_bits(built, count=6)


def test_products_of_weights_in_groups_and_scales_at_run_time(tmp_path: Path):
    check_products(tmp_path, {"*": "W4A8-g16-token", "scores": "W8A8-token"})


def test_convolutions_of_weights_in_groups(tmp_path: Path):
    check_convolutions(tmp_path, "W4A8-g16")


@pytest.mark.slow
@pytest.mark.parametrize("widths", TOKENS.values(), ids=TOKENS.keys())
def test_products_that_scale_at_run_time(tmp_path: Path, widths: dict[str, str]):
    check_products(tmp_path, widths)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["W2A8-g8", "W4A4-g32", "W6A8-g16"])
def test_convolutions_of_other_widths(tmp_path: Path, scheme: str):
    check_convolutions(tmp_path, scheme)
