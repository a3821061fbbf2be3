"""Rewriting: pure rules, operands first, the same object when nothing fires."""

import pytest

from qcompile.ir.node import Node
from qcompile.ir.ops.pointwise import Abs, Neg, Relu
from qcompile.ir.rewrite import Site, first_of, rewrite, until_same
from tests.helpers import check_rewrite, check_unchanged, read


def no_double_negation(node: Node, site: Site) -> Node | None:
    match node:
        case Neg(x=Neg(x=x)):
            return x
        case _:
            return None


def relu_alone_becomes_abs(node: Node, site: Site) -> Node | None:
    match node:
        case Neg(x=Relu(x=x) as relu) if site.sole(relu):
            return Abs(x, name=node.name)
        case _:
            return None


def never_rests(node: Node, site: Site) -> Node | None:
    return node.replace() if isinstance(node, Neg) else None


CHAIN = "def f(x: f32[2]):\n a = neg(x)\n b = neg(a)\n c = neg(b)\n d = neg(c)\n return {'y': d}"


def test_fires_until_nothing_is_left():
    check_rewrite(CHAIN, no_double_negation, 'def f(x: f32[2]):\n    return {"y": x}', within=0)


def test_a_rule_sees_final_operands():
    assert len(rewrite(read(CHAIN), no_double_negation).nodes) == 1


def test_nothing_fired_means_the_same_object():
    check_unchanged("def f(x: f32[2]):\n a = neg(x)\n return a", no_double_negation)


def test_sole_is_asked_of_the_old_graph():
    check_unchanged(
        "def f(x: f32[2]):\n a = relu(x)\n b = neg(a)\n c = exp(a)\n return b, c",
        relu_alone_becomes_abs,
    )


def test_untouched_parts_are_shared():
    graph = read("def f(x: f32[2]):\n a = exp(x)\n b = neg(a)\n c = neg(b)\n return a, c")
    assert rewrite(graph, no_double_negation).named("a") is graph.named("a")


def test_the_first_rule_that_fires_wins():
    graph = read("def f(x: f32[2]):\n a = relu(x)\n b = neg(a)\n return b")
    after = rewrite(graph, first_of(no_double_negation, relu_alone_becomes_abs))
    assert isinstance(after.results[0], Abs)


def test_a_rule_that_never_rests_is_our_mistake():
    with pytest.raises(AssertionError, match="did not come to rest on f in 3 rounds"):
        until_same(read("def f(x: f32[2]):\n a = neg(x)\n return a"), never_rests, limit=3)
