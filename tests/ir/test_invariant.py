"""Invariants complain about at most five places."""

import pytest

from qcompile.errors import InvariantViolated
from qcompile.ir.invariant import Invariant
from tests.helpers import read

GRAPH = read("def f(x: f32[2]):\n a = neg(x)\n return a")
EMPTY = Invariant("empty", lambda graph: (f"{n.name} is a {n.op}" for n in graph.nodes))
WORDY = Invariant("wordy", lambda graph: (f"c{i}" for i in range(100)))


def test_says_where_and_what():
    with pytest.raises(InvariantViolated, match="fold: f is not empty: x is a input; a is a neg"):
        EMPTY.check(GRAPH, where="fold")


def test_stops_after_five():
    with pytest.raises(InvariantViolated, match=r"c0; c1; c2; c3; c4$"):
        WORDY.check(GRAPH, where="fold")


def test_is_silent_when_it_holds():
    Invariant("anything", lambda graph: ()).check(GRAPH, where="fold")
