"""The greatest eigenvalue by power iteration is that of the whole matrix, found by numpy."""

from collections.abc import Sequence

import numpy as np
import pytest

from qcompile.errors import UsageError
from qcompile.ir.ops.source import Const, const
from qcompile.ir.rewrite import rewrite
from qcompile.ir.widths import Widths
from qcompile.sensitivity.eigenvalue import HessianEigenvalue, eigenvalues
from tests.helpers import read
from tests.sensitivity.conftest import SITES, pictures, studied

ASKED: dict[str, Sequence[Widths]] = {name: (Widths(3, 8), Widths(4, 8)) for name in SITES}


def outputs(study, name, change):
    """The logits of all samples in f64 when a weight is changed by this."""
    old = study.graph.named(name).operands[1]
    fresh = const((old.array + change).astype(np.float32), name=old.name)
    graph = rewrite(study.graph, lambda node, _: fresh if node is old else None)
    return np.concatenate([graph.run(*s)[0].ravel() for s in study.samples]).astype(np.float64)


def column(study, name, place, step=1e-2):
    """Central differences of all outputs by one weight."""
    change = np.zeros(study.graph.named(name).operands[1].type.shape)
    change.flat[place] = step
    return (outputs(study, name, change) - outputs(study, name, -change)) / (2 * step)


@pytest.mark.parametrize("name", ["each", "skip", "last"])
def test_the_eigenvalue_is_that_of_the_whole_matrix(net, name):
    study = studied(net, pictures(6))
    weight = study.graph.named(name).operands[1]
    assert isinstance(weight, Const)
    jacobian = np.stack([column(study, name, place) for place in range(weight.data.size)], 1)
    power = np.square(outputs(study, name, 0.0)).sum()
    expected = np.linalg.eigvalsh(jacobian.T @ jacobian / power)[-1]
    found = dict(eigenvalues(study, ASKED))[name]
    assert found == pytest.approx(expected, rel=0.02)


def test_damages_are_the_eigenvalue_times_the_squared_error_above_that_of_the_input(net):
    study = studied(net, pictures(4))
    site = next(site for site in study.sites if site.name == "skip")
    three, four = (float(np.square(site.weights(b) - site.weight.array).sum()) for b in (3, 4))
    found = {(n, w.weight): d for n, w, d in HessianEigenvalue().measure(study, ASKED)}
    difference = dict(eigenvalues(study, ASKED))["skip"] * (three - four)
    assert found["skip", 3] - found["skip", 4] == pytest.approx(difference, rel=1e-5)
    assert list(dict.fromkeys(name for name, _ in found)) == list(SITES)


def test_an_operation_without_gradient_is_named():
    text = """
        def f(x: f32[1, 6]):
            w: f32[6, 4] = const(...)
            y = mat_mul(x, w)
            z = mish(y)
            return z
        """
    rng = np.random.default_rng(3)
    rows = [(rng.standard_normal((1, 6)).astype(np.float32),) for _ in range(2)]
    with pytest.raises(UsageError, match="no gradients through mish"):
        list(HessianEigenvalue().measure(studied(read(text), rows), {"y": (Widths(4, 8),)}))
