"""Smoothing: outliers leave the activations, the function stays."""

from collections.abc import Sequence

import numpy as np
import pytest

from qcompile.calibrate.collect import collect
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.norm import LayerNorm, RmsNorm
from qcompile.ir.ops.pointwise import Silu
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import F32, TensorType
from qcompile.ir.widths import W4A8
from qcompile.passes.balance import Balance
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.correct_bias import CorrectBias
from qcompile.passes.recipe import Recipe
from qcompile.passes.rotate_online import RotateOnline
from qcompile.passes.smooth import Smooth
from qcompile.passes.transforms.notes import Note
from qcompile.passes.transforms.smoothing import CENTRING, POLICIES
from qcompile.stages import specify
from tests.helpers import read

LENGTH, WIDTH = 8, 24


def network(*, outlier: float) -> Graph:
    """x → norm → two products, the norm's first channel `outlier` times as large as the others."""
    rng = np.random.default_rng(0)
    x = Input(TensorType((1, LENGTH, WIDTH), F32), name="x")
    scale = np.ones(WIDTH, np.float32)
    scale[0] = outlier
    weights = rng.normal(size=(2, WIDTH, WIDTH)).astype(np.float32)
    weights[:, 0] /= outlier
    y = RmsNorm(x, const(scale), axis=2, name="norm")
    one, two = (MatMul(y, const(w), name=f"product{i}") for i, w in enumerate(weights))
    return Graph("net", (x,), (("one", Silu(one)), ("two", two)))


def samples(count: int = 4) -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(1)
    return [(rng.normal(size=(1, LENGTH, WIDTH)).astype(np.float32),) for _ in range(count)]


def outputs(graph: Graph) -> list[np.ndarray]:
    return [v for _, v in graph.values(samples(1)[0], keep=graph.results)]


def notes(graph: Graph, *, alpha: float | None = None) -> Sequence[Note]:
    found: list[Note] = []
    Smooth(alpha=alpha, samples=samples(), tell=found.append).run(graph)
    return found


def test_the_function_stays():
    graph = network(outlier=100.0)
    after = Smooth(samples=samples()).run(graph)
    assert after is not graph
    pairs = zip(outputs(graph), outputs(after), strict=True)
    assert max(float(np.abs(a - b).max()) for a, b in pairs) < 1e-5


def test_an_outlier_costs_next_to_nothing_afterwards():
    (note,) = notes(network(outlier=100.0))
    assert note.site == "norm"
    assert note.before > 0.05
    assert note.after < 2e-4


@pytest.mark.parametrize("outlier", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_nothing_is_chosen_that_loses(outlier: float, alpha: float):
    (note,) = notes(network(outlier=outlier), alpha=alpha)
    assert note.after <= note.before


@pytest.mark.parametrize("pass_of", [Smooth, Balance, RotateOnline])
def test_without_samples_nothing_is_done_and_that_is_told(
    pass_of: type[Smooth | Balance | RotateOnline],
):
    graph, found = network(outlier=100.0), list[Note]()
    assert pass_of(tell=found.append).run(graph) is graph
    assert [note.reason for note in found] == ["it looks at activations: give samples"]


def test_threads_change_no_bit():
    graph = network(outlier=100.0)
    one, two = (Smooth(samples=samples(), threads=t).run(graph) for t in (1, 2))
    assert [c.data.digest for c in one.constants] == [c.data.digest for c in two.constants]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"policy": "iron"}, "no policy 'iron': give smoothquant"), ({"alpha": 1.5}, "give 0 to 1")],
)
def test_what_is_no_option_is_refused(options: dict, message: str):
    with pytest.raises(UsageError, match=message):
        Smooth(**options)


def apart(*, dead: bool = False) -> Graph:
    """x → layer norm → two products; the norm's channels lie apart by many times their width."""
    rng = np.random.default_rng(0)
    x = Input(TensorType((1, LENGTH, WIDTH), F32), name="x")
    gamma, beta = (rng.normal(size=WIDTH).astype(np.float32) * scale for scale in (0.1, 10.0))
    weights = rng.normal(size=(2, WIDTH, WIDTH)).astype(np.float32)
    if dead:
        gamma[:3] = beta[:3] = weights[:, 5:8] = 0
    y = LayerNorm(x, const(gamma), const(beta), axis=2, name="norm")
    one, two = (MatMul(y, const(w), name=f"product{i}") for i, w in enumerate(weights))
    return Graph("net", (x,), (("one", Silu(one)), ("two", two)))


@pytest.mark.parametrize("policy", CENTRING)
def test_channels_that_lie_apart_are_centred_and_the_function_stays(policy: str):
    graph, found = apart(), list[Note]()
    after = Smooth(policy=policy, samples=samples(), tell=found.append).run(graph)
    pairs = zip(outputs(graph), outputs(after), strict=True)
    assert max(float(np.abs(a - b).max()) for a, b in pairs) < 1e-4
    first, *_ = found
    assert first.choice.startswith("shift by ")
    assert first.after < first.before / 100


def test_the_norm_gives_centred_channels_then():
    after = Smooth(policy="shift", samples=samples()).run(apart())
    ((_, value),) = after.values(samples(1)[0], keep=[after.named("norm")])
    assert np.abs(value).max() < 1.0


def test_scales_alone_centre_nothing():
    found: list[Note] = []
    Smooth(samples=samples(), tell=found.append).run(apart())
    assert not any(note.choice.startswith("shift") for note in found)


@pytest.mark.parametrize("policy", POLICIES)
def test_channels_of_zeros_and_weights_of_zeros_give_finite_numbers(policy: str):
    graph = apart(dead=True)
    after = Smooth(policy=policy, samples=samples()).run(graph)
    assert all(np.isfinite(c.array).all() for c in after.constants)
    pairs = zip(outputs(graph), outputs(after), strict=True)
    assert max(float(np.abs(a - b).max()) for a, b in pairs) < 1e-4


def test_centring_what_is_centred_changes_nothing():
    once = Smooth(policy="shift", samples=samples()).run(apart())
    found: list[Note] = []
    Smooth(policy="shift", samples=samples(), tell=found.append).run(once)
    assert found[0].choice == "none"


@pytest.mark.parametrize("policy", ["smoothquant", "shift"])
def test_biases_are_corrected_behind_it(policy: str):
    own = Recipe(widths=WidthRule(default=W4A8, ends=W4A8))
    drawn = [(x + 1,) for (x,) in samples(16)]
    graph = Smooth(policy=policy, samples=drawn, recipe=own).run(network(outlier=100.0))
    marked = specify(graph, own)
    before = Calibrate(collect(marked, observed(marked), drawn)).run(marked)
    after = CorrectBias(drawn).run(before)
    assert mean_error(graph, after, drawn) < mean_error(graph, before, drawn) / 10


def mean_error(real: Graph, quantized: Graph, drawn: Sequence[tuple[np.ndarray, ...]]) -> float:
    """How far the means of the second product's channels are off, over all samples."""
    pairs = [(real.run(*s)[1], quantized.run(*s)[1]) for s in drawn]
    return float(np.abs(np.mean([a - b for a, b in pairs], (0, 1, 2))).max())


SELDOM = """
    def f(x: f32[1, 3, 4, 4]):
        w: f32[3, 3, 1, 1] = const([[[[1.0]], [[0.0]], [[0.0]]], [[[0.0]], [[1.0]], [[0.0]]], [[[0.0]], [[0.0]], [[1.0]]]])
        a: f32[1, 3, 4, 4] = conv(x, w)
        r: f32[1, 3, 4, 4] = relu(a)
        %s
        v: f32[2, 3, 1, 1] = const([[[[1.0]], [[0.5]], [[9.0]]], [[[0.5]], [[1.0]], [[9.0]]]])
        y: f32[1, 2, 4, 4] = conv(%s, v)
        return y
    """  # noqa: E501  as it is printed
BOUNDS = """caps: f32[3, 1, 1] = const([[[6.0]], [[6.0]], [[6.0]]])
        c: f32[1, 3, 4, 4] = minimum(r, caps)"""


def smallest_by_far(count: int = 4) -> list[tuple[np.ndarray, ...]]:
    """Samples in which the last channel is seldom reached."""
    rng, sizes = np.random.default_rng(2), np.array([1, 0.8, 1e-3]).reshape(1, 3, 1, 1)
    return [((rng.uniform(0, 5, (1, 3, 4, 4)) * sizes).astype(np.float32),) for _ in range(count)]


def ratio(text: str) -> float:
    """By how much more the channel that is seldom reached is scaled up than the first."""
    after = Smooth(alpha=0.9, samples=smallest_by_far()).run(read(text))
    reads = next(c for c in after.constants if c.type.shape == (2, 3, 1, 1)).array.reshape(2, 3)
    return float(9 / reads[0, 2] * reads[0, 0])


def test_without_bounds_a_channel_that_is_seldom_reached_is_scaled_up():
    assert ratio(SELDOM % ("", "r")) > 10


def test_between_bounds_it_is_not_since_other_samples_may_reach_it():
    assert ratio(SELDOM % (BOUNDS, "c")) < 2
