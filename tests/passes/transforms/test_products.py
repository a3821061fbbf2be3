"""Errors of products of two computed values, against numpy."""

import numpy as np
import pytest

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Mul
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import f32
from qcompile.ir.widths import parse_widths
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.recipe import Recipe
from qcompile.passes.transforms.products import collect_products, quantized_products

A, B = Input(f32(1, 6, 8), name="a"), Input(f32(1, 8, 5), name="b")


def recipe(scheme: str, *exclude: str) -> Recipe:
    return Recipe(widths=WidthRule(parse_widths(scheme)), exclude=exclude)


def product() -> Graph:
    return Graph("net", (A, B), (("y", MatMul(A, B, name="y")),))


def drawn(count: int) -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(0)
    shapes = (1, 6, 8), (1, 8, 5)
    return [tuple(rng.normal(size=s).astype(np.float32) for s in shapes) for _ in range(count)]


def snapped(x: np.ndarray, axis: int) -> np.ndarray:
    """Symmetric, 127 steps to each vector's greatest magnitude."""
    step = np.abs(x).max(axis, keepdims=True) / np.float32(127)
    return np.rint(x / step).astype(np.float64) * step


def error(graph: Graph, own: Recipe) -> float:
    probes = collect_products(graph, quantized_products(graph, own), drawn(2), own)
    (probe,) = probes.values()
    return probe.error(probe.factors)


def test_both_factors_are_quantized_along_what_is_summed():
    pairs = drawn(2)
    exact = [a.astype(np.float64) @ b for a, b in pairs]
    found = [snapped(a, 2) @ snapped(b, 1) for a, b in pairs]
    noise = sum(np.square(y - x).sum() for x, y in zip(exact, found, strict=True))
    wanted = noise / sum(np.square(x).sum() for x in exact)
    assert error(product(), recipe("W8A8-token")) == pytest.approx(wanted, rel=1e-5)


def test_one_scale_for_all_loses_more():
    one, many = (error(product(), recipe(f"W8A8-{kind}")) for kind in ("tensor", "token"))
    assert one > many > 0


@pytest.mark.parametrize(
    ("own", "names"),
    [
        (recipe("W8A8-tensor"), ["both", "sum"]),
        (recipe("W8A8-tensor", "sum"), ["both"]),
        (recipe("W4A16"), ["both"]),
    ],
)
def test_which_products_are_quantized(own: Recipe, names: list[str]):
    weight = const(np.ones((8, 8), np.float32), name="w")
    both: Node = Mul(A, A, name="both")
    graph = Graph("net", (A, B), (("y", MatMul(MatMul(both, weight), B, name="sum")),))
    assert [node.name for node in quantized_products(graph, own)] == names
