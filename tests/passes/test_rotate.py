"""Rotations between constants: the function stays, outliers go."""

import numpy as np
import pytest

from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.passes.rotate import Rotate
from qcompile.passes.transforms.candidates import POLICIES
from qcompile.passes.transforms.notes import Note
from tests.passes.transforms.streams import FOUR_BITS, logits, samples, stream


def notes(graph: Graph, *, policy: str = "best") -> list[Note]:
    found: list[Note] = []
    Rotate(policy, samples=samples(), recipe=FOUR_BITS, tell=found.append).run(graph)
    return found


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


def test_without_samples_nothing_is_known_and_nothing_done():
    graph = stream()
    assert Rotate().run(graph) is graph


def test_a_policy_that_is_none_is_refused():
    with pytest.raises(UsageError, match="no policy 'spin': give best, hadamard"):
        Rotate("spin")
