"""Without data the mean error of rounded weights is taken out with the twin's mean inputs."""

from collections.abc import Sequence
from math import erf, exp, pi, sqrt

import numpy as np
import pytest

from qcompile.calibrate.collect import collect
from qcompile.calibrate.datafree import matched_twin, noise
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Array
from qcompile.ir.widths import parse_widths
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.correct_bias_by_twin import CorrectBiasByTwin
from qcompile.passes.recipe import Recipe
from qcompile.stages import simplify, specify
from tests.helpers import read

Sample = tuple[Array, ...]

BETA, GAMMA = (0.5, 1.0), (1.0, 2.0)
LAYER = """
    def f(x: f32[1, 2, 32, 32]):
        w: f32[2, 2, 1, 1] = const([[[[1.0]], [[2.0]]], [[[3.0]], [[-1.0]]]])
        c = conv(x, w)
        gamma: f32[2] = const([1.0, 2.0])
        beta: f32[2] = const([0.5, 1.0])
        mean: f32[2] = const([7.0, -7.0])
        var: f32[2] = const([9.0, 0.1])
        n = batch_norm(c, gamma, beta, mean, var)
        r = relu(n)
        v: f32[2, 2, 1, 1] = const([[[[1.0]], [[0.4]]], [[[0.0]], [[1.0]]]])
        y = conv(r, v)
        return y
    """
# the grid of the weight is so coarse that 0.4 becomes 0
ROUNDED = """
    def f(x: f32[1, 2, 32, 32]):
        v: f32[2, 2, 1, 1] = const([[[[1.0]], [[0.4]]], [[[0.0]], [[1.0]]]])
        v_2 = fake_quant(v, elem=i8, unit=q((1.0, 1.0), axis=0), name="v")
        y = conv(x, v_2)
        return y
    """


def bias(graph: Graph, name: str = "y") -> Array:
    node = graph.named(name)
    assert isinstance(node, Conv | ConvTranspose | MatMul)
    assert isinstance(node.bias, Const)
    return node.bias.array


def matched(text: str) -> tuple[Graph, list[Sample]]:
    """The twin of a network, and its noise."""
    graph = read(text)
    drawn = noise(graph, seed=0)
    return matched_twin(graph, drawn, threads=1), drawn


def mean_of_clipped_normal(mean: float, deviation: float) -> float:
    """E[max(x, 0)] of x ~ N(mean, deviation²)."""
    ratio = mean / deviation
    share = (1 + erf(ratio / sqrt(2))) / 2
    return mean * share + deviation * exp(-ratio * ratio / 2) / sqrt(2 * pi)


def test_the_shift_is_that_of_the_published_formula():
    twin, drawn = matched(LAYER)
    found = bias(CorrectBiasByTwin(twin, drawn).run(read(ROUNDED)))
    lost = 0.4 * mean_of_clipped_normal(BETA[1], GAMMA[1])
    np.testing.assert_allclose(found, [lost, 0.0], atol=0.02)


NET = """
    def net(x: f32[1, 3, 16, 16]):
        w: f32[8, 3, 3, 3] = const(...)
        gamma: f32[8] = const([1.0, 0.5, 2.0, 0.25, 1.0, 1.0, 1.0, 3.0])
        beta: f32[8] = const([0.0, -1.0, 3.0, 0.5, 1.0, 1.0, 1.0, 1.0])
        mean: f32[8] = const([9.0, -9.0, 0.0, 50.0, 1.0, 1.0, 1.0, 1.0])
        var: f32[8] = const([1.0, 100.0, 0.01, 4.0, 1.0, 1.0, 1.0, 1.0])
        c = conv(x, w, pads=(1, 1, 1, 1))
        first = batch_norm(c, gamma, beta, mean, var)
        r = relu(first)
        d: f32[8, 1, 3, 3] = const(...)
        e = conv(r, d, pads=(1, 1, 1, 1), groups=8)
        second = batch_norm(e, gamma, beta, mean, var)
        s = relu(second)
        t: f32[8, 4, 2, 2] = const(...)
        third = conv_transpose(s, t, stride=(2, 2))
        p = reduce_mean(third, axes=(2, 3), keepdims=False)
        m: f32[4, 5] = const(...)
        y = mat_mul(p, m)
        return y
    """
RECIPE = Recipe(widths=WidthRule(default=parse_widths("W4A8")))


def corrected(text: str) -> tuple[Graph, Graph, list[Sample]]:
    """The marked twin, the same calibrated and corrected, and the noise."""
    twin, drawn = matched(text)
    twin = specify(simplify(twin), RECIPE)
    seen = Calibrate(collect(twin, observed(twin), drawn))
    return twin, CorrectBiasByTwin(twin, drawn).run(seen.run(twin)), drawn


def constant(node: Node) -> Array:
    """The value of a constant, quantized where marked so."""
    if isinstance(node, Const):
        return node.array
    return node.evaluate(*(constant(o) for o in node.operands))


def mean_output(node: Node, x: Array) -> Array:
    """Of each channel, on an input and the node's own constants."""
    value = node.evaluate(x, *(constant(o) for o in node.operands[1:]))
    return value.mean((0, 2, 3) if value.ndim == 4 else 0)


def mean_outputs(node: Node, twin: Graph, drawn: Sequence[Sample]) -> Array:
    """Over all samples, on what the node of this name reads in the twin."""
    source = twin.named(node.name).operands[0]
    values = [x for sample in drawn for _, x in twin.values(sample, keep=[source])]
    return np.mean([mean_output(node, x) for x in values], 0)


@pytest.mark.parametrize("name", ["first", "second", "third", "y"])
def test_every_layers_mean_output_on_the_twins_inputs_is_that_of_its_real_weights(name: str):
    twin, after, drawn = corrected(NET)
    wanted = mean_outputs(twin.named(name), twin, drawn)
    found = mean_outputs(after.named(name), twin, drawn)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_uncorrected_it_is_another():
    twin, after, drawn = corrected(NET)
    node = after.named("third")
    assert isinstance(node, ConvTranspose)
    wanted = mean_outputs(twin.named("third"), twin, drawn)
    assert np.abs(mean_outputs(node.replace(bias=None), twin, drawn) - wanted).max() > 1e-2


def test_in_the_network_the_shift_is_as_many_times_greater_as_its_weights_are():
    twin, drawn = matched(LAYER)
    other = (
        ROUNDED.replace("[1.0]], [[0.4]", "[3.0]], [[1.2]")
        .replace("[[[0.0]], [[1.0]]]", "[[[0.0]], [[0.5]]]")
        .replace("(1.0, 1.0)", "(3.0, 0.5)")
    )
    once = bias(CorrectBiasByTwin(twin, drawn).run(read(ROUNDED)))
    found = bias(CorrectBiasByTwin(twin, drawn).run(read(other)))
    np.testing.assert_allclose(found, [3 * once[0], 0.0], rtol=1e-5)


def test_a_layer_with_other_weights_than_the_twins_is_left_alone():
    twin, drawn = matched(LAYER.replace("0.4", "0.7"))
    after = CorrectBiasByTwin(twin, drawn).run(read(ROUNDED)).named("y")
    assert isinstance(after, Conv)
    assert after.bias is None


PADDED = """
    def f(x: f32[1, 1, 2, 2]):
        w: f32[1, 1, 3, 3] = const([[[[0.4, 0.4, 0.4], [0.4, 0.4, 0.4], [0.4, 0.4, 0.4]]]])
        y = conv(x, w, pads=(1, 1, 1, 1))
        return y
    """


def test_the_zeros_beyond_the_border_carry_no_error():
    narrow = "w_2 = fake_quant(w, elem=i8, unit=q(1.0))"
    rounded = PADDED.replace("y = conv(x, w,", f"{narrow}\n        y = conv(x, w_2,")
    ones = np.ones((1, 1, 2, 2), np.float32)
    found = bias(CorrectBiasByTwin(read(PADDED), [(ones,)]).run(read(rounded)))
    np.testing.assert_allclose(found, [0.4 * 4], rtol=1e-6)


def test_without_samples_nothing_is_corrected():
    graph = read(ROUNDED)
    assert CorrectBiasByTwin(read(LAYER), []).run(graph) is graph


def test_what_is_not_quantized_is_left_alone():
    graph = read(LAYER)
    assert CorrectBiasByTwin(graph, noise(graph, seed=0)).run(graph) is graph


def test_any_number_of_threads_gives_the_same_bits():
    twin, drawn = matched(LAYER)
    one, three = (
        bias(CorrectBiasByTwin(twin, drawn, threads=t).run(read(ROUNDED))) for t in (1, 3)
    )
    np.testing.assert_array_equal(one, three)
