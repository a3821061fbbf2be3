"""Mean errors that all samples share go into the bias; chance does not."""

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Array
from qcompile.passes.correct_bias import CorrectBias
from tests.helpers import read

Sample = tuple[Array, ...]

# the grid of the weight is so coarse that 0.4 becomes 0: the output loses 0.4 · mean(x)
COARSE = """
    def f(x: f32[1, 2, 4, 4]):
        x_2 = fake_quant(x, elem=u8, unit=q(0.0078125), name="x")
        w: f32[2, 2, 1, 1] = const([[[[1.0]], [[0.4]]], [[[0.0]], [[1.0]]]])
        w_2 = fake_quant(w, elem=i8, unit=q((1.0, 1.0), axis=0), name="w")
        y = conv(x_2, w_2)
        return y
    """


def samples(count: int, *, mean: float, spread: float = 0.25, seed: int = 0) -> list[Sample]:
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(mean, spread, (1, 2, 4, 4)).clip(0, 1.99).astype(np.float32),)
        for _ in range(count)
    ]


def bias(graph: Graph, name: str = "y") -> Array:
    node = graph.named(name)
    assert isinstance(node, Conv | MatMul)
    assert isinstance(node.bias, Const)
    return node.bias.array


def test_a_planted_mean_shift_is_removed():
    found = bias(CorrectBias(samples(16, mean=1.0)).run(read(COARSE)))
    np.testing.assert_allclose(found, [0.4, 0.0], atol=0.02)


def test_the_mean_output_is_that_of_the_real_weights():
    after = CorrectBias(samples(16, mean=1.0)).run(read(COARSE))
    fresh = samples(64, mean=1.0, seed=9)
    quantized = np.mean([after.run(*s)[0] for s in fresh], (0, 1, 3, 4))
    means = np.mean([s[0] for s in fresh], (0, 1, 3, 4))
    np.testing.assert_allclose(quantized, [means[0] + 0.4 * means[1], means[1]], atol=0.02)


def test_it_is_added_to_the_bias_that_was():
    text = COARSE.replace(
        "y = conv(x_2, w_2)", "b: f32[2] = const([5.0, 7.0])\n        y = conv(x_2, w_2, b)"
    )
    after = CorrectBias(samples(16, mean=1.0)).run(read(text))
    np.testing.assert_allclose(bias(after), [5.4, 7.0], atol=0.02)
    assert after.named("b").type == read(text).named("b").type


CHANCE = """
    def f(x: f32[1, 1]):
        w: f32[1, 1] = const([0.4])
        w_2 = fake_quant(w, elem=i8, unit=q(1.0), name="w")
        y = mat_mul(x, w_2)
        return y
    """


def test_a_shift_that_the_samples_do_not_agree_on_is_left_alone():
    drawn = [(np.array([[x]], np.float32),) for x in (1.5, -1.5, 1.5, -1.5, 1.5, 1.5)]
    np.testing.assert_array_equal(bias(CorrectBias(drawn).run(read(CHANCE))), [0.0])


def test_a_shift_that_they_agree_on_somewhat_is_shrunk():
    drawn = [(np.array([[x]], np.float32),) for x in (1.0, 0.0, 1.0, 0.0, 1.0, 0.0)]
    found = bias(CorrectBias(drawn).run(read(CHANCE)))
    # mean 0.5, its standard error √(0.3 / 6): 1 − 0.05 / 0.25 of it is believed
    np.testing.assert_allclose(found, [0.4 * 0.5 * 0.8], rtol=1e-6)


def test_one_sample_is_believed():
    x = np.ones((1, 2, 4, 4), np.float32)
    np.testing.assert_allclose(bias(CorrectBias([(x,)]).run(read(COARSE))), [0.4, 0.0], atol=1e-6)


def test_layers_are_corrected_behind_layers_already_corrected():
    text = """
        def f(x: f32[1, 2]):
            w: f32[2, 2] = const([[1.0, 0.0], [0.4, 1.0]])
            w_2 = fake_quant(w, elem=i8, unit=q((1.0, 1.0), axis=1), name="w")
            a = mat_mul(x, w_2)
            v: f32[2, 1] = const([1.0, 1.0])
            v_2 = fake_quant(v, elem=i8, unit=q(1.0), name="v")
            y = mat_mul(a, v_2)
            return y
        """
    after = CorrectBias([(np.ones((1, 2), np.float32),)]).run(read(text))
    np.testing.assert_allclose(bias(after, "a"), [0.4, 0.0], atol=1e-6)
    np.testing.assert_allclose(bias(after, "y"), [0.0], atol=1e-6)


def test_any_number_of_threads_gives_the_same_bits():
    drawn = samples(7, mean=0.7)
    one = bias(CorrectBias(drawn, threads=1).run(read(COARSE)))
    three = bias(CorrectBias(drawn, threads=3).run(read(COARSE)))
    np.testing.assert_array_equal(one, three)


def test_what_is_not_quantized_is_left_alone():
    graph = read(
        "def f(x: f32[1, 2]):\n    w: f32[2, 2] = const(...)\n    y = mat_mul(x, w)\n    return y"
    )
    assert CorrectBias([(np.ones((1, 2), np.float32),)]).run(graph) is graph


def test_without_samples_nothing_is_corrected():
    graph = read(COARSE)
    assert CorrectBias([]).run(graph) is graph


def test_a_bias_that_is_computed_is_left_alone():
    text = """
        def f(x: f32[1, 2], b: f32[2]):
            w: f32[2, 2] = const([[1.0, 0.0], [0.4, 1.0]])
            w_2 = fake_quant(w, elem=i8, unit=q((1.0, 1.0), axis=1), name="w")
            y = mat_mul(x, w_2, b)
            return y
        """
    graph = read(text)
    ones = np.ones((1, 2), np.float32), np.ones(2, np.float32)
    assert CorrectBias([ones]).run(graph) is graph
