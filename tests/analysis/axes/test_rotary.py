"""Rotary embeddings in every spelling take complex numbers on their planes, and no more."""

from collections.abc import Callable

import numpy as np
import pytest

from qcompile.analysis.axes import Group, rotation_sites, scaling_sites
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul, Sub
from qcompile.ir.ops.pointwise import Neg
from qcompile.ir.ops.shape import Concat, Expand, Gather, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const, const
from tests.analysis.axes.parts import Parts, attention, graph, heads, joined, rotary, tokens
from tests.analysis.axes.random_maps import difference, transformed

TOKENS, SIZE, HALF = 5, 6, 3
Spelling = Callable[[Node], Node]


def angles() -> tuple[Const, Const]:
    """cos and sin, one number an angle: [1, 1, tokens, half]."""
    turned = np.arange(TOKENS)[:, None] / 10.0 ** np.arange(HALF)[None]
    return const(np.cos(turned)[None, None], name="cos"), const(np.sin(turned)[None, None])


def doubled(table: Node) -> Node:
    return Concat((table, table), 3)


def repeated(table: Node) -> Node:
    """Each angle twice in a row, computed."""
    lengths = static(table.type.shape)
    wide = Expand(Reshape(table, (*lengths, 1)), (*lengths, 2))
    return Reshape(wide, (*lengths[:3], SIZE))


def gathered(table: Node) -> Node:
    """Each angle twice in a row, looked up."""
    return Gather(table, const(np.repeat(np.arange(HALF), 2)), 3)


def stepped(x: Node) -> tuple[Node, Node]:
    a, b = (Slice(x, (3,), (first,), (SIZE,), (2,)) for first in (0, 1))
    return a, b


def stacked(a: Node, b: Node) -> Node:
    """(a₀, b₀, a₁, b₁, …)."""
    *lead, half = static(a.type.shape)
    parts = tuple(Reshape(x, (*lead, half, 1)) for x in (a, b))
    return Reshape(Concat(parts, 4), (*lead, 2 * half))


def joined_halves(x: Node) -> Node:
    low, high = (Slice(x, (3,), (i * HALF,), ((i + 1) * HALF,), (1,)) for i in (0, 1))
    cos, sin = angles()
    first, second = Sub(Mul(low, cos), Mul(high, sin)), Add(Mul(low, sin), Mul(high, cos))
    return Concat((first, second), 3)


def turned_back(x: Node) -> Node:
    """By −θ: the sine is taken with the other sign."""
    low, high = (Slice(x, (3,), (i * HALF,), ((i + 1) * HALF,), (1,)) for i in (0, 1))
    cos, sin = angles()
    first, second = Add(Mul(low, cos), Mul(high, sin)), Sub(Mul(high, cos), Mul(low, sin))
    return Concat((first, second), 3)


def neighbours(x: Node) -> Node:
    """x · cos + (−x₁, x₀, −x₃, x₂, …) · sin."""
    a, b = stepped(x)
    cos, sin = (repeated(table) for table in angles())
    return Add(Mul(x, cos), Mul(stacked(Neg(b), a), sin))


def looked_up(x: Node) -> Node:
    a, b = stepped(x)
    cos, sin = (gathered(table) for table in angles())
    return Add(Mul(x, cos), Mul(stacked(Neg(b), a), sin))


def stacked_products(x: Node) -> Node:
    a, b = stepped(x)
    cos, sin = angles()
    return stacked(Sub(Mul(a, cos), Mul(b, sin)), Add(Mul(b, cos), Mul(a, sin)))


def pairs(x: Node) -> Node:
    """[…, half, 2] turned along its last axis."""
    lead = static(x.type.shape)[:3]
    apart = Reshape(x, (*lead, HALF, 2))
    a, b = (Slice(apart, (4,), (i,), (i + 1,), (1,)) for i in (0, 1))
    cos, sin = (Reshape(table, (1, 1, TOKENS, HALF, 1)) for table in angles())
    both = Concat((Sub(Mul(a, cos), Mul(b, sin)), Add(Mul(b, cos), Mul(a, sin))), 4)
    return Reshape(both, (*lead, SIZE))


def complex_numbers(x: Node) -> Node:
    """[…, half, 2] taken apart into two of […, half], and put together again."""
    lead = static(x.type.shape)[:3]
    apart = Reshape(x, (*lead, HALF, 2))
    cuts = [Slice(apart, (4,), (i,), (i + 1,), (1,)) for i in (0, 1)]
    a, b = (Reshape(part, (*lead, HALF)) for part in cuts)
    cos, sin = angles()
    sums = Sub(Mul(a, cos), Mul(b, sin)), Add(Mul(a, sin), Mul(b, cos))
    both = Concat(tuple(Reshape(part, (*lead, HALF, 1)) for part in sums), 4)
    return Reshape(both, (*lead, SIZE))


def from_neighbours_to_halves(x: Node) -> Node:
    a, b = stepped(x)
    cos, sin = angles()
    return Concat((Sub(Mul(a, cos), Mul(b, sin)), Add(Mul(b, cos), Mul(a, sin))), 3)


def sorted_first(x: Node) -> Node:
    """Neighbours are put into halves, then turned as halves."""
    lead = static(x.type.shape)[:3]
    apart = Transpose(Reshape(x, (*lead, HALF, 2)), (0, 1, 2, 4, 3))
    cos, sin = (doubled(table) for table in angles())
    return rotary(Reshape(apart, (*lead, SIZE)), cos, sin)


def halves(x: Node) -> Node:
    cos, sin = (doubled(table) for table in angles())
    return rotary(x, cos, sin)


def net(turn: Spelling) -> Graph:
    """Attention of two heads whose queries and keys are turned."""
    parts, ids = Parts(), tokens(TOKENS)
    x = parts.embedding(ids)
    q, k = (turn(heads(parts.linear(x, 2 * SIZE, name), 2)) for name in "qk")
    mixed = attention(q, k, heads(parts.linear(x, 8, "v"), 2))
    return graph(ids, y=parts.linear(joined(mixed), 3, "o"))


SPELLINGS = [
    halves, joined_halves, turned_back, neighbours, looked_up, stacked_products, pairs,
    complex_numbers, from_neighbours_to_halves, sorted_first,
]  # fmt: skip


@pytest.mark.parametrize("turn", SPELLINGS)
def test_every_plane_of_a_head_takes_a_complex_number(turn: Spelling):
    own = net(turn)
    (site,) = (s for s in rotation_sites(own) if s.group is Group.PAIR)
    assert (site.size, site.blocks) == (2, (2, HALF))
    assert [c.name for c in site.constants] == ["q.w", "k.w"]
    assert difference(own, transformed(own, site)) < 1e-9


@pytest.mark.parametrize("turn", SPELLINGS)
def test_both_members_of_a_plane_take_one_scale(turn: Spelling):
    own = net(turn)
    (site,) = (s for s in scaling_sites(own) if [c.name for c in s.constants] == ["q.w", "k.w"])
    assert (site.size, site.blocks) == (HALF, (2,))
    assert difference(own, transformed(own, site)) < 1e-9


def unequal(x: Node) -> Node:
    """Members of a plane with numbers of their own: no turn."""
    a, b = stepped(x)
    cos, sin = (repeated(table) for table in angles())
    own = const(np.linspace(1, 2, SIZE))
    return Add(Mul(x, Mul(cos, own)), Mul(stacked(Neg(b), a), sin))


def mirrored(x: Node) -> Node:
    """(x₁, x₀) instead of (−x₁, x₀): a mirror, which complex numbers do not pass."""
    a, b = stepped(x)
    cos, sin = (repeated(table) for table in angles())
    return Add(Mul(x, cos), Mul(stacked(b, a), sin))


def crossed(x: Node) -> Node:
    """Planes of halves, angles of neighbours."""
    cos, sin = (repeated(table) for table in angles())
    return rotary(x, cos, sin)


@pytest.mark.parametrize("turn", [unequal, mirrored, crossed])
def test_what_only_looks_like_a_turn_takes_none(turn: Spelling):
    assert Group.PAIR not in {s.group for s in rotation_sites(net(turn))}


def partly(x: Node) -> Node:
    """The first six numbers of eight are turned."""
    front, rest = (Slice(x, (3,), (a,), (b,), (1,)) for a, b in ((0, SIZE), (SIZE, SIZE + 2)))
    return Concat((neighbours(front), rest), 3)


def test_what_is_not_turned_beside_it_keeps_its_freedom():
    parts, ids = Parts(), tokens(TOKENS)
    x = parts.embedding(ids)
    q, k = (partly(heads(parts.linear(x, 16, name), 2)) for name in "qk")
    mixed = attention(q, k, heads(parts.linear(x, 8, "v"), 2))
    own = graph(ids, y=parts.linear(joined(mixed), 3, "o"))
    sites = [s for s in rotation_sites(own) if s.name.startswith("q")]
    assert [(s.group, s.size, s.blocks) for s in sites] == [
        (Group.PAIR, 2, (2, HALF)),
        (Group.GENERAL, 2, (2,)),
    ]
    assert max(difference(own, transformed(own, site)) for site in sites) < 1e-9
