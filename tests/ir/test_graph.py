"""Graphs: order, users, evaluation."""

import numpy as np
import pytest

from qcompile.errors import UsageError
from qcompile.ir.parse import parse
from tests.helpers import assert_close

DIAMOND = parse("""
def diamond(x: f32[2], unused: f32[1]):
    c = neg(x)
    a = relu(c)
    b = exp(c)
    y = add(a, b)
    dead = relu(b)
    return {"y": y, "again": y, "a": a}
""")
ONES = (np.ones(2, np.float32), np.zeros(1, np.float32))


def test_operands_stand_before_their_users_and_dead_nodes_do_not_exist():
    assert [n.name for n in DIAMOND.nodes] == ["x", "unused", "c", "a", "b", "y"]


def test_users_are_listed_once_in_order():
    assert [n.name for n in DIAMOND.users[DIAMOND.named("c")]] == ["a", "b"]


def test_a_node_is_sole_when_one_reads_it_and_it_is_no_output():
    assert DIAMOND.sole(DIAMOND.named("b"))
    assert not DIAMOND.sole(DIAMOND.named("a"))
    assert not DIAMOND.sole(DIAMOND.named("c"))


def test_runs_to_one_value_for_each_output_name():
    y, again, a = DIAMOND.run(*ONES)
    assert_close(y, np.full(2, np.exp(-1), np.float32), within=1e-6)
    assert again is y
    assert a.tolist() == [0, 0]


def test_yields_the_values_asked_for_in_order():
    keep = [DIAMOND.named("b"), DIAMOND.named("c")]
    assert [n.name for n, _ in DIAMOND.values(ONES, keep=keep)] == ["c", "b"]


def test_an_input_may_be_an_output():
    graph = parse("def f(x: f32[2]):\n return x")
    assert graph.run(ONES[0])[0].tolist() == [1, 1]


def test_says_how_many_inputs_it_takes():
    with pytest.raises(UsageError, match="diamond takes 2 inputs, got 1"):
        DIAMOND.run(ONES[0])


def test_says_which_name_it_does_not_know():
    with pytest.raises(UsageError, match="no node named 'z' in diamond"):
        DIAMOND.named("z")


def test_lists_its_constants():
    graph = parse("def f():\n c: f32[1] = const([1.0])\n y = relu(c)\n return y")
    assert [c.name for c in graph.constants] == ["c"]
