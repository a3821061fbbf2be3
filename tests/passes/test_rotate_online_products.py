"""Transforms on both factors of a product: where it is quantized and they pay, nowhere else."""

import numpy as np
import pytest

from qcompile.analysis.axes import OnlineSite, online_sites
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.widths import parse_widths
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.online_hadamard import insert_between
from qcompile.passes.recipe import Recipe
from qcompile.passes.rotate_online import RotateOnline
from qcompile.passes.transforms.equality import difference
from qcompile.passes.transforms.notes import Note
from tests.passes.transforms.queries import attention, samples


def rotated(graph: Graph, scheme: str = "W8A8-token") -> tuple[Graph, list[Note]]:
    notes: list[Note] = []
    recipe = Recipe(widths=WidthRule(parse_widths(scheme)))
    after = RotateOnline(samples=samples(), recipe=recipe, tell=notes.append).run(graph)
    return after, [note for note in notes if note.role == "R3"]


def between(graph: Graph) -> OnlineSite:
    (site,) = [s for s in online_sites(graph) if s.role == "R3"]
    return site


def transforms(graph: Graph) -> list[str]:
    return [node.x.name for node in graph.nodes if isinstance(node, Hadamard)]


@pytest.mark.parametrize("scheme", ["W8A8-tensor", "W8A8-token", "W4A8"])
def test_queries_and_keys_are_turned_behind_their_positions(scheme: str):
    after, (note,) = rotated(attention(outlier=20.0), scheme)
    assert transforms(after)[-2:] == ["q.at", "k.at"]
    assert note.choice == "online hadamard of 16"
    assert note.after < note.before / 2


def test_the_function_stays():
    graph = attention(outlier=20.0)
    after, _ = rotated(graph)
    assert difference(graph, after, samples()) < 1e-5


def test_its_price_is_that_of_both_factors():
    _, (note,) = rotated(attention(outlier=20.0))
    assert note.reason == "Sylvester of 16, 64 additions for each vector of both factors"


def test_even_factors_are_left_alone():
    graph = attention()
    after, (note,) = rotated(graph)
    assert note.choice == "none"
    assert not transforms(after)


def test_a_product_of_reals_is_left_alone():
    after, notes = rotated(attention(outlier=20.0), "W4A16")
    assert not transforms(after)
    assert not notes


def test_blocks_that_do_not_divide_a_factor_are_refused():
    graph = attention()
    with pytest.raises(UsageError, match="blocks of 12 do not divide 16"):
        insert_between(graph, {between(graph): 12})


def test_a_site_of_weights_has_no_second_factor():
    graph = attention()
    (site, *_) = [s for s in online_sites(graph) if s.partner is None]
    with pytest.raises(UsageError, match="its inverse goes into weights"):
        insert_between(graph, {site: 16})


def test_each_factor_is_the_one_it_was_times_the_same_matrix():
    graph = attention()
    after = insert_between(graph, {between(graph): 8}, seed=3)
    ((_, one),) = graph.values(samples()[0], keep=[graph.named("scores")])
    ((_, two),) = after.values(samples()[0], keep=[after.named("scores")])
    np.testing.assert_allclose(two, one, atol=1e-5)
