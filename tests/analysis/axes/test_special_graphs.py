"""Tied weights, unknown operations, rotary embeddings and plain data."""

from collections.abc import Callable

import numpy as np
import pytest

from qcompile.analysis.axes import Group, Survey, described, rotation_sites, scaling_sites
from qcompile.analysis.axes.null_space import null_space
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul, Sub
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.norm import RmsNorm
from qcompile.ir.ops.shape import Concat, Gather, Slice, Transpose
from qcompile.ir.ops.source import const
from qcompile.ir.types import F64, Array, TensorType
from tests.analysis.axes.parts import Parts, attention, graph, heads, joined, rotary, tables, tokens
from tests.analysis.axes.random_maps import difference, transformed


def tied(scale: Node | None) -> Graph:
    """The embedding is the head, behind a norm of this scale."""
    net, ids = Parts(), tokens()
    table = net.weight(11, 16, name="embed.w")
    normed = RmsNorm(Gather(table, ids, 0, name="embed"), scale, 2, name="norm")
    return graph(ids, y=MatMul(normed, Transpose(table, (1, 0)), name="head"))


@pytest.mark.parametrize("scale", [None, const(np.full(16, 1.5))], ids=["none", "one number"])
def test_a_tied_embedding_turns_as_a_whole_where_the_norm_scales_evenly(scale: Node | None):
    net = tied(scale)
    (site,) = rotation_sites(net)
    assert (site.group, len(site.constants)) == (Group.ORTHOGONAL, 1)
    assert difference(net, transformed(net, site)) < 1e-9


def test_a_tied_embedding_is_frozen_where_it_does_not():
    assert rotation_sites(tied(Parts().around_one(16, name="g"))) == ()


def test_a_tied_embedding_takes_no_scale():
    assert scaling_sites(tied(None)) == ()


def mirror(node: Foreign, operands: tuple[Array, ...]) -> tuple[Array, ...]:
    return (operands[0][..., ::-1],)


def test_an_unknown_operation_freezes_what_it_touches_and_nothing_else():
    net, ids = Parts(), tokens()
    x = net.linear(net.linear(net.embedding(ids), 6, "a"), 8, "b")
    kind = TensorType(x.type.shape, F64)
    odd = Foreign("Mirror", "odd", (), b"", (x,), ("x",), ("y",), (kind,), 0, mirror, name="odd")
    own = graph(ids, y=net.linear(net.linear(odd, 5, "c"), 3, "d"))
    assert [site.name for site in rotation_sites(own)] == ["embed", "a", "c"]
    reasons = {s.name: str(s.blockers[0]) for s in Survey(own).refused_rotations}
    assert reasons["b"] == "odd: nothing is known of odd::Mirror"


def interleaved(x: Node, cos: Node, sin: Node) -> Node:
    """Not a rotary embedding that is known: both halves of the tables differ."""
    return rotary(x, Mul(cos, const(np.linspace(1, 2, 4))), sin)


def halves(x: Node, cos: Node, sin: Node) -> Node:
    """concat(x₁ c − x₂ s, x₂ c + x₁ s)."""
    low, high = (Slice(v, (3,), (a,), (a + 2,), (1,)) for v, a in ((x, 0), (x, 2)))
    c, s = (Slice(t, (3,), (0,), (2,), (1,)) for t in (cos, sin))
    return Concat((Sub(Mul(low, c), Mul(high, s)), Add(Mul(low, s), Mul(high, c))), 3)


def turned(turn: Callable[[Node, Node, Node], Node]) -> Graph:
    """Attention with rotary embeddings of one kind."""
    net, ids = Parts(), tokens()
    x, (cos, sin) = net.embedding(ids), tables(5, 4)
    q, k = (turn(heads(net.linear(x, 8, name), 2), cos, sin) for name in "qk")
    mixed = attention(q, k, heads(net.linear(x, 8, "v"), 2))
    return graph(ids, y=net.linear(joined(mixed), 3, "o"))


@pytest.mark.parametrize("turn", [rotary, halves])
def test_planes_of_rotary_embeddings_take_complex_numbers(
    turn: Callable[[Node, Node, Node], Node],
):
    net = turned(turn)
    site = next(s for s in rotation_sites(net) if s.group is Group.PAIR)
    assert (site.size, site.blocks) == (2, (2, 2))
    assert difference(net, transformed(net, site)) < 1e-9


def test_turns_of_unequal_halves_take_none():
    groups = {s.group for s in rotation_sites(turned(interleaved))}
    assert Group.PAIR not in groups


def test_descriptions_are_plain_data_in_graph_order():
    found = described(turned(rotary))
    assert [(d["kind"], d["site"], d["group"]) for d in found if d["kind"] == "rotation"] == [
        ("rotation", "embed", "GL(16)"),
        ("rotation", "q", "complex numbers"),
        ("rotation", "v", "GL(4)"),
    ]
    assert all(d["blocked_by"] for d in found if d["kind"] == "refused")


def test_the_null_space_is_that_of_numpy():
    rng = np.random.default_rng(0)
    matrix = rng.integers(-1, 2, (6, 11))
    equations = [tuple((i, int(c)) for i, c in enumerate(row) if c) for row in matrix]
    basis = null_space(11, equations, dependent=lambda i: i % 2 == 0).basis
    vectors = np.array([[float(v.get(i, 0)) for i in range(11)] for v in basis.values()])
    np.testing.assert_allclose(matrix @ vectors.T, 0, atol=1e-12)
    assert np.linalg.matrix_rank(vectors) == 11 - np.linalg.matrix_rank(matrix) == len(vectors)
