"""Products by equation, taken apart into transposes and matrix products."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import Call, Opaque, Translator
from qcompile.ir.dims import Dim, size
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Mul
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.reduce import ReduceSum
from qcompile.ir.ops.shape import Reshape, Transpose

Named = tuple[Node, str]
"""A value and a letter for each of its axes."""
_FIRST = 0x100  # of the letters for axes that an equation leaves unnamed


def _einsum(call: Call) -> Node:
    """Σ over the letters that the result lacks; no letter twice in one operand."""
    terms, result = _parsed(call)
    named = [_checked(call, x, term) for x, term in zip(call.every(), terms, strict=True)]
    first, *rest = named
    for i, other in enumerate(rest):
        later = set(result).union(*(t for _, t in rest[i + 1 :]))
        first = _product(first, other, later)
    return _settled(first, result)


def _parsed(call: Call) -> tuple[list[str], str]:
    """A malformed equation would never come back from ONNX's shape inference."""
    equation = call.text("equation").replace(" ", "")
    term = r"[A-Za-z]*(\.\.\.)?[A-Za-z]*"
    if not re.fullmatch(rf"{term}(,{term})*(->{term})?", equation):
        raise BadModel(f"{call}: equation is {equation!r}")
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(call.operands):
        raise BadModel(f"{call}: {len(terms)} terms for {len(call.operands)} inputs")
    once = sorted(c for c in set(left) - {",", "."} if left.count(c) == 1)
    result = result if arrow else "..." * ("..." in left) + "".join(once)
    pairs = list(zip(call.every(), terms, strict=True))
    unnamed = max([x.type.rank - len(t) + 3 for x, t in pairs if "..." in t], default=0)
    letters = "".join(chr(_FIRST + i) for i in range(unnamed))
    named = [_named(x, t, letters) for x, t in pairs]
    result = result.replace("...", letters)
    if not set(result) <= set("".join(named)) or len(set(result)) != len(result):
        raise BadModel(f"{call}: equation is {equation!r}")
    return named, result


def _named(x: Node, term: str, letters: str) -> str:
    """The term with letters for the axes that it leaves unnamed, the last ones alike in all."""
    count = x.type.rank - len(term) + 3
    return term.replace("...", letters[len(letters) - count :] if count > 0 else "")


def _checked(call: Call, x: Node, term: str) -> Named:
    if len(term) != x.type.rank:
        raise BadModel(f"{call}: term {term!r} for {x.type}")
    if len(set(term)) != len(term):
        raise Opaque("a diagonal")
    if not x.type.is_float:
        raise Opaque("integers without a unit")
    return x, term


def _product(left: Named, right: Named, later: set[str]) -> Named:
    """Both as [shared, own, summed] · [shared, summed, own]; without sums, element by element."""
    left, right = _without(left, set(right[1]) | later), _without(right, set(left[1]) | later)
    shared = [c for c in left[1] if c in right[1] and c in later]
    summed = [c for c in left[1] if c in right[1] and c not in later]
    rows = [c for c in left[1] if c not in right[1]]
    columns = [c for c in right[1] if c not in left[1]]
    _refuse_spreading(left, right)
    lengths = dict(zip(left[1] + right[1], left[0].type.shape + right[0].type.shape, strict=True))
    whole = "".join((*shared, *rows, *columns))
    if not summed:
        ones = [1] * len(columns)
        a = _shaped(_arranged(left, shared + rows), [lengths[c] for c in shared + rows] + ones)
        return Mul(a, _spread(right, shared, columns, len(rows))), whole
    front = [lengths[c] for c in shared]
    a = _shaped(_arranged(left, shared + rows + summed), [*front, *_joined(lengths, rows, summed)])
    b = _shaped(
        _arranged(right, shared + summed + columns), [*front, *_joined(lengths, summed, columns)]
    )
    return _shaped(MatMul(a, b), [lengths[c] for c in whole]), whole


def _refuse_spreading(left: Named, right: Named) -> None:
    ours = dict(zip(left[1], left[0].type.shape, strict=True))
    theirs = dict(zip(right[1], right[0].type.shape, strict=True))
    if any(ours[c] != theirs[c] for c in left[1] if c in theirs):
        raise Opaque("spreads an axis of 1")


def _spread(right: Named, shared: list[str], columns: list[str], between: int) -> Node:
    """[shared, 1, …, columns]."""
    b = _arranged(right, shared + columns)
    front = b.type.shape[: len(shared)]
    return _shaped(b, [*front, *(1,) * between, *b.type.shape[len(shared) :]])


def _joined(lengths: dict[str, Dim], first: list[str], second: list[str]) -> tuple[Dim, Dim]:
    """Several letters as one axis."""
    one, two = (size(tuple(lengths[c] for c in part)) for part in (first, second))
    return one, two


def _settled(value: Named, result: str) -> Node:
    return _arranged(_without(value, set(result)), result)


def _without(value: Named, kept: set[str]) -> Named:
    """Summed over the letters that nothing else has."""
    x, term = value
    axes = tuple(i for i, c in enumerate(term) if c not in kept)
    if not axes:
        return value
    return ReduceSum(x, axes, keepdims=False), "".join(c for c in term if c in kept)


def _arranged(value: Named, order: Sequence[str]) -> Node:
    x, term = value
    perm = tuple(term.index(c) for c in order)
    return x if perm == tuple(range(len(perm))) else Transpose(x, perm)


def _shaped(x: Node, shape: Sequence[Dim]) -> Node:
    return x if x.type.shape == tuple(shape) else Reshape(x, tuple(shape))


EINSUM: dict[str, Translator] = {"Einsum": _einsum}
