"""Without data: noise, and a twin whose batchnorms see what they were trained on."""

import numpy as np
import pytest

from qcompile.calibrate.datafree import has_statistics, matched_twin, noise
from qcompile.ir.ops.norm import BatchNorm
from qcompile.ir.ops.source import Const
from tests.helpers import read

NET = """
    def net(x: f32[1, 3, 16, 16]):
        w: f32[4, 3, 3, 3] = const(...)
        gamma: f32[4] = const([1.0, 0.5, 2.0, 0.25])
        beta: f32[4] = const([0.0, -1.0, 3.0, 0.5])
        mean: f32[4] = const([9.0, -9.0, 0.0, 50.0])
        var: f32[4] = const([1.0, 100.0, 0.01, 4.0])
        c = conv(x, w, pads=(1, 1, 1, 1))
        first = batch_norm(c, gamma, beta, mean, var)
        r = relu(first)
        v: f32[4, 4, 1, 1] = const(...)
        d = conv(r, v)
        second = batch_norm(d, gamma, beta, mean, var)
        y = add(second, r)
        return y, first, second
    """
GAMMA, BETA = np.array([1.0, 0.5, 2.0, 0.25]), np.array([0.0, -1.0, 3.0, 0.5])


@pytest.mark.parametrize("output", [1, 2])
def test_the_twins_batchnorms_give_mean_beta_and_deviation_gamma(output: int):
    graph = read(NET)
    samples = noise(graph, seed=0)
    twin = matched_twin(graph, samples, threads=2)
    values = np.stack([twin.run(*sample)[output] for sample in samples])
    np.testing.assert_allclose(values.mean((0, 1, 3, 4)), BETA, atol=1e-3)
    np.testing.assert_allclose(values.std((0, 1, 3, 4)), GAMMA, rtol=1e-3)


def test_the_twin_keeps_weights_and_names():
    graph = read(NET)
    twin = matched_twin(graph, noise(graph, seed=0), threads=1)
    assert [n.name for n in twin.nodes if n.operands] == [n.name for n in graph.nodes if n.operands]
    assert twin.named("w") is graph.named("w")


def test_the_twin_does_not_depend_on_threads():
    graph = read(NET)
    samples = noise(graph, seed=0)
    one, four = (matched_twin(graph, samples, threads=t) for t in (1, 4))
    np.testing.assert_array_equal(one.run(*samples[0])[0], four.run(*samples[0])[0])


def test_a_channel_that_does_not_vary_keeps_its_trained_variance():
    graph = read(NET.replace("c = conv(x, w", "zero: f32[1, 4, 1, 1] = const([1.0, 0.0, 1.0, 1.0])\n        e = conv(x, w").replace("first = ", "c = mul(e, zero)\n        first = "))  # fmt: skip # noqa: E501
    twin = matched_twin(graph, noise(graph, seed=0), threads=1)
    first = twin.named("first")
    assert isinstance(first, BatchNorm)
    assert isinstance(first.var, Const)
    assert first.var.array[1] == 100.0
    assert np.isfinite(twin.run(*noise(graph, seed=1)[0])[0]).all()


def test_a_network_without_batchnorms_is_its_own_twin():
    graph = read("def f(x: f32[1, 4]):\n    y = relu(x)\n    return y")
    assert not has_statistics(graph)
    assert matched_twin(graph, noise(graph, seed=0), threads=1) is graph
    assert has_statistics(read(NET))


def test_noise_is_a_function_of_its_seed():
    graph = read(NET)
    np.testing.assert_array_equal(noise(graph, seed=3)[1][0], noise(graph, seed=3)[1][0])
    assert (noise(graph, seed=3)[1][0] != noise(graph, seed=4)[1][0]).any()


def test_noise_has_deviation_1_and_is_smooth_in_every_second_sample():
    rough, smooth = (x for (x,) in noise(read(NET.replace("16, 16", "64, 64")), seed=0, count=2))
    assert [rough.std(), smooth.std()] == pytest.approx([1.0, 1.0], abs=0.05)
    jumps = [float(np.abs(np.diff(x, axis=3)).mean()) for x in (rough, smooth)]
    assert jumps[1] < jumps[0] / 2


def test_noise_is_of_each_inputs_kind():
    graph = read("""
        def f(i: i64[50], u: u8[50], b: bool[50], h: f16[50]):
            y = neg(i)
            return y, u, b, h
        """)
    ((i, u, b, h),) = noise(graph, seed=0, count=1)
    assert [x.dtype.name for x in (i, u, b, h)] == ["int64", "uint8", "bool", "float16"]
    assert (i >= 0).all()
    assert (i < 100).all()
    assert 0 < b.mean() < 1
