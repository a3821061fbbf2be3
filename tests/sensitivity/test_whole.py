"""The whole network under any widths is what the passes of a compilation make of it."""

import numpy as np
import pytest

from qcompile.calibrate.collect import collect
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.widths import Widths
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.correct_bias import CorrectBias
from qcompile.passes.recipe import Recipe
from qcompile.sensitivity.whole import Whole
from qcompile.stages import specify
from tests.sensitivity.conftest import SITES, pictures, studied

MIXES = {
    "eight": (8, 8, 8, 8),
    "mixed": (4, 8, 2, 3),
    "two": (2, 2, 2, 2),
}


@pytest.fixture(scope="module")
def samples():
    return pictures(24)


@pytest.fixture(scope="module")
def whole(net, samples):
    return Whole(studied(net, samples), calibrated(net, samples, Recipe()))


def calibrated(net, samples, recipe):
    specified = specify(net, Recipe())
    seen = collect(specified, observed(specified), samples)
    return Calibrate(seen).run(specify(net, recipe))


def logits(graph, samples):
    judged = Graph(graph.name, graph.inputs, (("last", graph.named("last")),))
    return np.concatenate([judged.run(*sample)[0] for sample in samples])


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_outputs_are_those_of_the_calibrated_graph_with_biases_corrected(net, whole, samples, mix):
    chosen = {name: Widths(bits, 8) for name, bits in zip(SITES, mix, strict=True)}
    recipe = Recipe(widths=WidthRule(overrides=chosen))
    graph = CorrectBias(samples[:16]).run(calibrated(net, samples, recipe))
    expected = logits(graph, samples)
    (found,) = whole.outputs(chosen, samples)
    error = np.abs(found.numpy() - expected)
    assert np.median(error) < 1e-4 * np.abs(expected).max()
    assert np.square(error).sum() < 1e-3 * np.square(expected).sum()


def test_real_outputs_are_those_of_the_float_graph(net, whole, samples):
    (found,) = whole.real_outputs(samples)
    np.testing.assert_allclose(found.numpy(), logits(net, samples), rtol=1e-4, atol=1e-5)


def test_another_graph_is_refused(net, samples):
    study = studied(net, samples[:2])
    graph = calibrated(net, samples[:2], Recipe())
    other = Graph("other", graph.inputs, (("z", graph.results[0]),))
    with pytest.raises(UsageError, match="other has other outputs than net"):
        Whole(study, other)
