"""Second derivatives: exact where the network is linear, near finite differences elsewhere."""

import numpy as np
import pytest

from qcompile.errors import UsageError
from qcompile.ir.ops.source import const
from qcompile.ir.rewrite import rewrite
from qcompile.sensitivity import gradients
from qcompile.sensitivity.gradients import curvatures
from qcompile.sensitivity.network import one_thread
from tests.helpers import read
from tests.sensitivity.conftest import pictures, studied

LINEAR = """
    def f(x: f32[1, 6]):
        w: f32[6, 4] = const(...)
        y = mat_mul(x, w)
        return y
    """


def rows(count):
    rng = np.random.default_rng(3)
    return [(rng.standard_normal((1, 6)).astype(np.float32),) for _ in range(count)]


def found(study):
    with one_thread():
        return curvatures(study, study.sites)


def test_of_one_output_each_the_diagonal_is_exact_with_any_signs():
    study = studied(read(LINEAR), rows(1))
    (x,), w = study.samples[0], study.sites[0].weight.array
    expected = np.square(x.astype(np.float64)).T / np.square(x.astype(np.float64) @ w).sum()
    given = found(study)["y"].weight.numpy()
    np.testing.assert_allclose(given, np.broadcast_to(expected, w.shape), rtol=1e-5)


def test_the_diagonal_is_half_the_second_difference_of_the_damage(net, monkeypatch):
    monkeypatch.setattr(gradients, "DRAWS", 400)
    study = studied(net, pictures(2))
    given = found(study)["skip"].weight.numpy()[:, :, 0, 0]
    expected = [[second_difference(study, o, i) for i in range(6)] for o in range(6)]
    np.testing.assert_allclose(given, expected, rtol=0.5, atol=np.max(expected) * 0.1)
    assert given.sum() == pytest.approx(np.sum(expected), rel=0.1)


def second_difference(study, o, i, step=1e-3):
    """damage(w + step·e) / step², one weight of `skip` changed."""
    skip = study.graph.named("skip")
    real = np.array([study.graph.run(*s)[0] for s in study.samples], np.float64)
    w = np.array(skip.w.array)
    w[o, i] += step
    fresh = const(w, name=skip.w.name)
    other = rewrite(study.graph, lambda node, _: fresh if node is skip.w else None)
    moved = np.array([other.run(*s)[0] for s in study.samples], np.float64)
    return np.square(moved - real).sum() / np.square(real).sum() / step**2


def test_an_operation_without_gradient_is_named():
    text = """
        def f(x: f32[1, 6]):
            w: f32[6, 4] = const(...)
            y = mat_mul(x, w)
            z = mish(y)
            return z
        """
    with pytest.raises(UsageError, match="no gradients through mish"):
        found(studied(read(text), rows(2)))
