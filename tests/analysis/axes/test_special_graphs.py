"""Tied weights, unknown operations, rotary embeddings and plain data."""

import numpy as np
import pytest

from qcompile.analysis.axes import Group, Survey, described, rotation_sites, scaling_sites
from qcompile.analysis.axes.null_space import null_space
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.norm import RmsNorm
from qcompile.ir.ops.shape import Gather, Transpose
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


def turned() -> Graph:
    """Attention with rotary embeddings."""
    net, ids = Parts(), tokens()
    x, (cos, sin) = net.embedding(ids), tables(5, 4)
    q, k = (rotary(heads(net.linear(x, 8, name), 2), cos, sin) for name in "qk")
    mixed = attention(q, k, heads(net.linear(x, 8, "v"), 2))
    return graph(ids, y=net.linear(joined(mixed), 3, "o"))


def test_descriptions_are_plain_data_in_graph_order():
    found = described(turned())
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
