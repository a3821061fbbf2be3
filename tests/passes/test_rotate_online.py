"""Transforms at run time: only where they pay, with the function kept."""

import numpy as np
import pytest

from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.passes.rotate_online import RotateOnline
from qcompile.passes.transforms.notes import Note
from tests.passes.transforms.streams import FOUR_BITS, logits, samples, stream


def rotated(graph: Graph, *, gain: float = 1.5) -> tuple[Graph, list[Note]]:
    notes: list[Note] = []
    by = RotateOnline(gain, samples=samples(), recipe=FOUR_BITS, tell=notes.append)
    return by.run(graph), notes


def transforms(graph: Graph) -> list[str]:
    return [node.x.name for node in graph.nodes if isinstance(node, Hadamard)]


@pytest.mark.parametrize(
    ("gain", "places"), [(1.5, ["block0.inner", "block1.inner"]), (2.6, ["block0.inner"])]
)
def test_a_transform_stands_where_it_gains_enough_and_nowhere_else(gain: float, places: list[str]):
    after, _ = rotated(stream(outlier=1.0), gain=gain)
    assert transforms(after) == places


def test_the_function_stays():
    graph = stream()
    after, _ = rotated(graph)
    assert after is not graph
    np.testing.assert_allclose(logits(after), logits(graph), atol=1e-5)


def test_signs_are_in_the_weights_of_what_it_reads():
    after, _ = rotated(stream(outlier=1.0))
    assert {node.seed for node in after.nodes if isinstance(node, Hadamard)} == {0}


def test_its_price_is_told():
    _, (note, _) = rotated(stream(outlier=1.0))
    assert (note.role, note.choice) == ("R4", "online hadamard of 32")
    assert note.reason == f"Sylvester of 32, {64 * 5} additions for each vector"


def test_what_does_not_pay_is_left_alone():
    graph = stream()
    after, _ = rotated(graph, gain=1e6)
    assert after is graph


def test_a_gain_below_one_is_refused():
    with pytest.raises(UsageError, match="give 1 or more"):
        RotateOnline(0.5)
