"""Masks in one spelling: forbidden scores are −1e9 before the softmax, in rows that read anything.

softmax(x + c) with c ≤ −1e8 somewhere, softmax(where(m, x, −∞)) with 0 put for what is no number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Equal, Where
from qcompile.ir.ops.pointwise import Not
from qcompile.ir.ops.reduce import Softmax
from qcompile.ir.ops.source import Const, const
from qcompile.ir.rewrite import Site
from qcompile.ir.types import F32

FORBIDDEN = -1e8  # a bias of a softmax from which on nothing is left
_LEAST = -1e9


def constant_mask(node: Node, site: Site) -> Node | None:
    """softmax(x + c) where c forbids by −∞ or as good → softmax(where(allowed, x + rest, −1e9))."""
    match node:
        case Softmax(x=Add(a=x, b=Const() as c) as biased) if c.type.elem == F32:
            allowed = _numbers(c) > FORBIDDEN
        case _:
            return None
    if biased.type != x.type or allowed.all() or not allowed.any(-1).all():
        return None
    rest = np.where(allowed, _numbers(c), 0).astype(np.float32)
    kept = Add(x, const(rest, name=c.name), name=biased.name) if rest.any() else x
    return node.replace(x=Where(const(allowed), kept, const(_LEAST, elem=F32), name=biased.name))


def guarded_softmax(node: Node, site: Site) -> Node | None:
    """0 in place of what is no number, in rows that may read nothing → 0 where m forbids."""
    match node:
        case Where(condition=Not(x=Equal(a=a, b=b)), a=Const() as zero, b=Softmax() as soft):
            if not a is b is soft or node.type != soft.type or _numbers(zero).any():
                return None
        case _:
            return None
    allowed, scores = _allowed(soft.x)
    if allowed is None or soft.axis != soft.type.rank - 1 or soft.type.elem != F32:
        return None
    if isinstance(allowed, Const) and _numbers(allowed).any(-1).all():
        return soft.replace(name=node.name)
    held = Where(allowed, scores, const(_LEAST, elem=F32), name=soft.x.name)
    return Where(allowed, soft.replace(x=held), const(0.0, elem=F32), name=node.name)


def _allowed(x: Node) -> tuple[Node | None, Node]:
    """(m, scores) of scores that are −∞ where m forbids; m is None where that is not certain."""
    match x:
        case Where(condition=m, a=scores, b=Const() as c) if _forbids(c) and scores.type == x.type:
            return m, scores
        case Where(condition=m, a=Const() as c, b=scores) if _forbids(c) and scores.type == x.type:
            return Not(m), scores
        case Add(a=scores, b=Where() as bias) | Add(a=Where() as bias, b=scores):
            return _of_bias(bias) if scores.type == x.type else None, scores
        case _:
            return None, x


def _of_bias(bias: Where) -> Node | None:
    match bias:
        case Where(condition=m, a=Const() as none, b=Const() as c) if _forbids(c):
            return None if _numbers(none).any() else m
        case Where(condition=m, a=Const() as c, b=Const() as none) if _forbids(c):
            return None if _numbers(none).any() else Not(m)
        case _:
            return None


def _forbids(c: Const) -> bool:
    return c.type.is_float and c.data.nbytes <= 8 and bool((_numbers(c) <= FORBIDDEN).all())


def _numbers(c: Const) -> Any:
    return np.asarray(c.array)
