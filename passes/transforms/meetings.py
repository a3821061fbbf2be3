"""Where the two factors of a site meet: products in which its scale cancels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from qcompile.analysis.axes import Site
from qcompile.analysis.axes.members import Member
from qcompile.ir.ops.linear import MatMul
from qcompile.passes.transforms.products import Product


@dataclass(frozen=True)
class Meeting:
    """A product, and the members that are its left and right factor: v·s^e and w·s^−e."""

    node: Product
    members: tuple[Member, Member]


def meetings(site: Site, products: Collection[Product]) -> tuple[Meeting, ...]:
    """Those of the products that contract or multiply two edges of opposite exponents, in order."""
    edges: dict[object, list[Member]] = {}
    for member in site.edges:
        edges.setdefault(member.value, []).append(member)
    found: list[Meeting] = []
    for node in products:
        pairs = (
            (a, b)
            for a in edges.get(node.a, ())
            for b in edges.get(node.b, ())
            if a.exponent == -b.exponent and _together(node, a, b)
        )
        found += [Meeting(node, pair) for pair in pairs][:1]
    return tuple(found)


def _together(node: Product, a: Member, b: Member) -> bool:
    """The same index of both factors enters the same product."""
    rank = node.type.rank
    own, other = (m.axis - m.value.type.rank + rank for m in (a, b))
    return (own, other) == (rank - 1, rank - 2) if isinstance(node, MatMul) else own == other
