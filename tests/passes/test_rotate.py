"""Rotations between constants: the function stays, outliers go."""

from dataclasses import replace

import numpy as np
import pytest

from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.reduce import Softmax
from qcompile.ir.ops.shape import Transpose
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.types import f32
from qcompile.ir.widths import parse_widths
from qcompile.numerics.rotations import peak_to_average
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.pipeline import Pipeline
from qcompile.passes.recipe import Recipe
from qcompile.passes.rotate import Rotate
from qcompile.passes.transforms.candidates import POLICIES
from qcompile.passes.transforms.equality import difference
from qcompile.passes.transforms.notes import Note
from tests.passes.transforms.streams import FOUR_BITS, logits, samples, stream


def told(graph: Graph, by: Rotate) -> list[Note]:
    """What the pass says of the sites where some matrix may act."""
    found: list[Note] = []
    replace(by, tell=found.append).run(graph)
    return [note for note in found if not note.reason.startswith("refused")]


def notes(graph: Graph, *, policy: str = "best", seed: int = 1, draws: int = 1) -> list[Note]:
    return told(graph, Rotate(policy, seed, draws, samples=samples(), recipe=FOUR_BITS))


def with_a_common_part(graph: Graph, part: float) -> Graph:
    """Every word's vector plus the same number in all channels: a row of Sylvester's matrices."""

    def shifted(node: Node, _: Site) -> Node | None:
        if not isinstance(node, Const) or node.name != "embed":
            return None
        return const(node.array + np.float32(part), name="embed")

    return rewrite(graph, shifted)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_function_stays(policy: str):
    graph = stream()
    after = Rotate(policy, samples=samples(), recipe=FOUR_BITS).run(graph)
    np.testing.assert_allclose(logits(after), logits(graph), atol=1e-5)


@pytest.mark.parametrize("policy", ["best", "hadamard", "klt-hadamard"])
def test_an_outlier_of_the_stream_costs_half_at_most(policy: str):
    (note,) = notes(stream(), policy=policy)
    assert (note.site, note.role) == ("stream", "R1")
    assert note.after < note.before / 2


def test_the_best_is_no_worse_than_any_single_policy():
    afters = {policy: notes(stream(), policy=policy)[0].after for policy in POLICIES}
    assert afters["best"] <= min(afters["hadamard"], afters["block"], afters["klt-hadamard"])


def test_what_gains_nothing_is_left_alone():
    (note,) = notes(stream(outlier=1.0), policy="klt")
    assert note.choice == "none"
    assert note.after == note.before


def test_a_seed_gives_the_same_bytes_and_another_one_others():
    one, again, other = (
        Rotate("hadamard", seed, samples=samples(), recipe=FOUR_BITS).run(stream())
        for seed in (1, 1, 2)
    )
    digests = [[c.data.digest for c in g.constants] for g in (one, again, other)]
    assert digests[0] == digests[1] != digests[2]


def test_what_all_channels_share_becomes_a_spike_unless_signs_are_random():
    graph = with_a_common_part(stream(), 4.0)
    (plain,), (signed,) = (notes(graph, policy="hadamard", seed=seed) for seed in (0, 1))
    assert plain.after > 0.9 * plain.before
    assert signed.after < 0.75 * signed.before


def test_the_best_of_several_draws_is_no_worse_than_the_first():
    (one,), (many,) = (notes(stream(), policy="hadamard", draws=n) for n in (1, 8))
    assert many.after < one.after
    assert many.choice.startswith("hadamard, draw ")


def test_how_the_matrix_is_made_is_told():
    (note,) = notes(stream(), policy="hadamard")
    assert note.reason == "Sylvester of 32"


def test_a_block_may_be_a_group_of_weights_that_share_a_step():
    narrow = parse_widths("W3A8-g8-token")
    groups = Recipe(widths=WidthRule(narrow, narrow))
    (note,) = told(stream(outlier=5.0), Rotate("block", samples=samples(), recipe=groups))
    assert (note.choice, note.reason) == ("hadamard of blocks of 8", "Sylvester of 8")


def test_factors_that_meet_in_a_product_are_turned_for_nothing():
    graph = factors(outlier=30.0)
    (note,) = told(graph, Rotate("hadamard", samples=vectors(), recipe=Recipe()))
    after = Rotate("hadamard", samples=vectors()).run(graph)
    assert (note.site, note.choice) == ("q", "hadamard")
    assert note.after < 0.6 * note.before
    assert len(after.nodes) == len(graph.nodes)
    assert difference(graph, after, vectors()) < 1e-5


def test_factors_that_meet_are_turned_without_samples_too():
    graph = factors(outlier=30.0)
    (note,) = told(graph, Rotate("hadamard"))
    assert (note.site, note.choice) == ("q", "hadamard")
    assert difference(graph, Rotate("hadamard").run(graph), vectors()) < 1e-5


def test_factors_of_a_product_of_reals_are_left_alone_and_told():
    recipe = Recipe(widths=WidthRule(parse_widths("W4A16")))
    (note,) = told(factors(outlier=30.0), Rotate("hadamard", samples=vectors(), recipe=recipe))
    assert (note.choice, note.reason) == ("none", "nothing quantized reads it")


def test_what_blocks_a_stream_is_told():
    found: list[Note] = []
    Rotate(samples=samples(), recipe=FOUR_BITS, tell=found.append).run(stream())
    refused = [note.reason for note in found if note.site == "block0.up"]
    assert refused == ["refused: block0.inner: mul multiplies each index by its own number"]


@pytest.mark.parametrize("policy", ["hadamard", "block"])
def test_a_fixed_policy_needs_no_samples(policy: str):
    graph = stream()
    (note,) = told(graph, Rotate(policy, recipe=FOUR_BITS))
    after = Rotate(policy, recipe=FOUR_BITS).run(graph)
    assert after is not graph
    assert note.choice.startswith("hadamard")
    assert note.reason.endswith("no samples: judged by weights alone")
    np.testing.assert_allclose(logits(after), logits(graph), atol=1e-5)


def test_it_stands_alone_in_a_pipeline():
    graph = stream()
    after = Pipeline([Rotate("hadamard")]).run(graph)
    assert [c.name for c in after.constants if c not in graph.constants]
    np.testing.assert_allclose(logits(after), logits(graph), atol=1e-5)


def test_a_hadamard_matrix_that_no_sample_asked_for_spreads_an_outlier():
    before, after = stream(), Rotate("hadamard").run(stream())
    peaks = [peak_to_average(embedded(graph)) for graph in (before, after)]
    assert peaks[1] < peaks[0] / 2


@pytest.mark.parametrize("policy", ["best", "klt", "klt-hadamard"])
def test_what_looks_at_activations_does_nothing_without_samples_and_says_so(policy: str):
    graph, found = stream(), list[Note]()
    assert Rotate(policy, tell=found.append).run(graph) is graph
    assert found[-1].reason == f"policy {policy} looks at activations: give samples"


def test_no_draws_are_refused():
    with pytest.raises(UsageError, match="draws is 0"):
        Rotate(draws=0)


def test_a_policy_that_is_none_is_refused():
    with pytest.raises(UsageError, match="no policy 'spin': give best, hadamard"):
        Rotate("spin")


def embedded(graph: Graph) -> np.ndarray:
    """What the stream begins with."""
    ((_, found),) = graph.values(samples()[0], keep=[graph.named("stream")])
    return found


def factors(*, outlier: float) -> Graph:
    """Scores q·kᵀ of one head, the same channel of both far out: no scale makes them even."""
    rng = np.random.default_rng(0)
    x = Input(f32(1, 8, 16), name="x")

    def weight(name: str) -> Const:
        numbers = rng.normal(size=(16, 16)) / 4
        numbers[:, 1] *= outlier
        return const(numbers.astype(np.float32), name=name)

    q, k = (MatMul(x, weight(f"w{name}"), name=name) for name in "qk")
    scores = MatMul(q, Transpose(k, (0, 2, 1)), name="scores")
    return Graph("net", (x,), (("y", Softmax(scores, axis=2)),))


def vectors() -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(1)
    return [(rng.normal(size=(1, 8, 16)).astype(np.float32),) for _ in range(4)]
