"""Weights on their grids: exact when quantized again, better than nearest, the same every time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.calibrate.collect import collect
from qcompile.ir.graph import Graph
from qcompile.ir.ops.quant import FakeQuant, to_integers, to_reals
from qcompile.ir.ops.source import Const
from qcompile.ir.text import dump
from qcompile.ir.types import Array, Scalar
from qcompile.ir.unit import Affine
from qcompile.ir.widths import parse_widths
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.correct_bias import CorrectBias
from qcompile.passes.recipe import Recipe
from qcompile.passes.round_weights import RoundWeights
from qcompile.passes.rounding.policy import POLICIES
from qcompile.passes.specify import Specify
from tests.helpers import read

T = TypeVar("T")
NETWORK = """
    def network(x: f32[1, 6, 12, 12]):
        w1: f32[16, 6, 3, 3] = const(...)
        c1: f32[1, 16, 12, 12] = conv(x, w1, pads=(1, 1, 1, 1))
        r1: f32[1, 16, 12, 12] = relu(c1)
        w2: f32[16, 16, 3, 3] = const(...)
        c2: f32[1, 16, 12, 12] = conv(r1, w2, pads=(1, 1, 1, 1))
        r2: f32[1, 16, 12, 12] = relu(c2)
        w3: f32[8, 16, 1, 1] = const(...)
        y: f32[1, 8, 12, 12] = conv(r2, w3)
        return y
"""


def smooth(count: int, *, seed: int) -> list[tuple[Array, ...]]:
    """Pictures whose neighbouring places and channels resemble each other."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(0).standard_normal((6, 6))
    coarse = rng.standard_normal((count, 1, 6, 4, 4)).repeat(3, 3).repeat(3, 4)
    mixed = np.einsum("ij,nbjhw->nbihw", mix, coarse) + 1
    return [(np.ascontiguousarray(x, np.float32),) for x in mixed]


@cache
def calibrated(scheme: str) -> Graph:
    widths = parse_widths(scheme)
    recipe = Recipe(widths=WidthRule(default=widths, ends=widths))
    marked = Specify(recipe).run(read(NETWORK))
    return Calibrate(collect(marked, observed(marked), smooth(8, seed=1))).run(marked)


def lost(graph: Graph) -> float:
    """On samples that nobody has seen."""
    samples, real = smooth(6, seed=2), read(NETWORK)
    return sum(float(np.square(graph.run(*x)[0] - real.run(*x)[0]).sum()) for x in samples)


@pytest.mark.parametrize(
    ("scheme", "rounding"),
    [("W4A8", "gptq"), ("W3A8", "learned"), ("W2A8", "gptq"), ("W4A4", "learned")],
)
def test_less_is_lost_on_unseen_samples_than_by_the_nearest_integers(scheme: str, rounding: str):
    samples = smooth(8, seed=1)
    near = CorrectBias(samples).run(calibrated(scheme))
    found = RoundWeights(POLICIES[rounding], samples).run(calibrated(scheme))
    assert lost(found) < 0.7 * lost(near)


def test_the_new_weights_stay_where_they_are_when_they_are_quantized_again():
    graph = RoundWeights(POLICIES["gptq"], smooth(4, seed=1)).run(calibrated("W4A8"))
    marked = [n for n in graph.nodes if isinstance(n, FakeQuant) and isinstance(n.x, Const)]
    arrays = [n.x.evaluate() for n in marked]
    assert len(marked) == 3
    again = [n.evaluate(a) for n, a in zip(marked, arrays, strict=True)]
    assert all(np.array_equal(a, b) for a, b in zip(arrays, again, strict=True))


KINDS = """
    def kinds(x: f32[1, 8, 8, 8]):
        w1: f32[8, 1, 3, 3] = const(...)
        c1: f32[1, 8, 8, 8] = conv(x, w1, pads=(1, 1, 1, 1), groups=8)
        r1: f32[1, 8, 8, 8] = relu(c1)
        w2: f32[16, 4, 3, 3] = const(...)
        c2: f32[1, 16, 8, 8] = conv(r1, w2, pads=(1, 1, 1, 1), groups=2)
        w3: f32[16, 8, 2, 2] = const(...)
        c3: f32[1, 8, 16, 16] = conv_transpose(c2, w3, stride=(2, 2))
        t3: f32[8, 256] = reshape(c3, shape=(8, 256))
        w4: f32[256, 8] = const(...)
        y: f32[8, 8] = mat_mul(t3, w4)
        return y
"""


@pytest.mark.parametrize(("scheme", "rounding"), [("W4A8", "best"), ("W3A8-g16", "learned")])
def test_every_kind_of_contraction_is_rounded(scheme: str, rounding: str):
    widths, real = parse_widths(scheme), read(KINDS)
    samples = [(x.repeat(2, 1)[:, :8],) for (x,) in small(12)]
    marked = Specify(Recipe(widths=WidthRule(widths, widths, widths))).run(real)
    plain = Calibrate(collect(marked, observed(marked), samples[:8])).run(marked)
    near = CorrectBias(samples[:8]).run(plain)
    found = RoundWeights(POLICIES[rounding], samples[:8]).run(plain)
    unseen = [(x, real.run(*x)[0]) for x in samples[8:]]

    def noise(graph: Graph) -> float:
        return sum(float(np.square(graph.run(*x)[0] - y).sum()) for x, y in unseen)

    assert noise(found) < 0.85 * noise(near)


def small(count: int) -> list[tuple[Array, ...]]:
    """A corner of each picture."""
    return [(x[:, :, :8, :8],) for (x,) in smooth(count, seed=3)]


@given(st.floats(2.0**-100, 2.0**20, width=32), st.integers(2, 8), st.integers(1, 63))
def test_a_grid_point_in_float32_is_its_own_nearest_integer(scale: float, bits: int, step: int):
    elem = Scalar(f"i{bits}")
    q = np.arange(elem.lo, elem.hi + 1).astype(elem.storage)
    plain = Affine((scale,))
    grouped = Affine((scale,), group=len(q), steps=bytes([min(step, -(128 // elem.lo))]))
    np.testing.assert_array_equal(to_integers(to_reals(q, plain), elem, plain), q)
    np.testing.assert_array_equal(to_integers(to_reals(q, grouped), elem, grouped), q)


def test_weights_of_eight_bits_are_left_alone():
    samples = smooth(4, seed=1)
    found = RoundWeights(POLICIES["gptq"], samples).run(calibrated("W8A8"))
    assert dump(found) == dump(CorrectBias(samples).run(calibrated("W8A8")))


def test_one_sample_alone_is_not_trusted():
    samples, nearest = smooth(1, seed=1), POLICIES["nearest"]
    found = RoundWeights(POLICIES["gptq"], samples).run(calibrated("W4A8"))
    assert dump(found) == dump(RoundWeights(nearest, samples).run(calibrated("W4A8")))


def test_threads_and_files_change_no_bit(monkeypatch: pytest.MonkeyPatch):
    samples, policy = smooth(4, seed=1), POLICIES["best"]
    one, three = (RoundWeights(policy, samples, n).run(calibrated("W3A8")) for n in (1, 3))
    monkeypatch.setattr("qcompile.passes.round_weights.MEMORY", 0)
    filed = RoundWeights(policy, samples).run(calibrated("W3A8"))
    assert digests(one) == digests(three) == digests(filed)


def digests(graph: Graph) -> tuple[str, ...]:
    """The text and all arrays."""
    return (dump(graph), *(node.data.digest for node in graph.constants))


def test_whoever_waits_hears_of_each_layer():
    heard: list[str] = []

    def each(items: Sequence[T], what: str) -> Iterable[T]:
        for item in items:
            heard.append(what)
            yield item

    RoundWeights(POLICIES["gptq"], smooth(2, seed=1), each=each).run(calibrated("W4A8"))
    assert heard == 3 * ["rounding weights"]


def test_nothing_quantized_stays_the_same_object():
    graph = read(NETWORK)
    assert RoundWeights(POLICIES["gptq"], smooth(1, seed=1)).run(graph) is graph
    assert RoundWeights(POLICIES["gptq"], ()).run(calibrated("W4A8")) is calibrated("W4A8")
