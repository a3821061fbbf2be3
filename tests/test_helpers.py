"""The helpers themselves: seeds decide, and a wrong expectation fails."""

import numpy as np
import pytest

from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.source import Const, const
from qcompile.ir.rewrite import Site
from qcompile.ir.text import dump
from tests.helpers import assert_close, check_rewrite, read, seeded_inputs
from tests.strategies import random_graph

BEFORE = """
    def f(x: f32[2, 3]):
        a: f32[2, 3] = const(...)
        b: f32[2, 3] = const(...)
        c = add(a, b)
        y = add(x, c)
        return y
    """
AFTER = """
    def f(x: f32[2, 3]):
        c: f32[2, 3] = const(...)
        y: f32[2, 3] = add(x, c)
        return y
    """


def add_constants(node: Node, site: Site) -> Node | None:
    match node:
        case Add(a=Const() as a, b=Const() as b):
            return const(np.add(a.array, b.array), name=node.name)
        case _:
            return None


def lose_constants(node: Node, site: Site) -> Node | None:
    folded = add_constants(node, site)
    return None if folded is None else const(np.zeros((2, 3), np.float32), name=node.name)


def test_any_value_stands_for_a_constant():
    check_rewrite(BEFORE, add_constants, AFTER, within=0)


def test_another_text_fails():
    with pytest.raises(AssertionError):
        check_rewrite(BEFORE, add_constants, AFTER.replace("add(x, c)", "add(c, x)"))


def test_another_meaning_fails():
    with pytest.raises(AssertionError, match="y"):
        check_rewrite(BEFORE, lose_constants, AFTER)


def test_integers_may_not_differ_at_all():
    with pytest.raises(AssertionError):
        assert_close(np.array([100]), np.array([101]), within=0.5)


def test_the_name_seeds_a_constant():
    assert dump(read(BEFORE)) == dump(read(BEFORE))
    assert read(BEFORE).named("a") != read(BEFORE).named("b")


@pytest.mark.parametrize("seed", range(10))
def test_a_random_graph_is_a_function_of_its_seed_and_stays_sane(seed: int):
    graph = random_graph(seed)
    assert dump(graph) == dump(random_graph(seed))
    assert np.abs(graph.run(*seeded_inputs(graph))[0]).max() < 100
