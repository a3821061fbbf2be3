"""Laws of reshape: runs of axes with one product of lengths are factors of one another."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd

from qcompile.analysis.axes.laws.law import Factor, Law, Port, frozen, same
from qcompile.ir.dims import Dim
from qcompile.ir.node import Node


def reshape_laws(node: Node, x: Node) -> Iterator[Law]:
    """Row-major order: axes are matched from both ends, then by common factors."""
    own, source = list(_ports(node)), list(_ports(x))
    while own and source and own[0].size == source[0].size:
        yield same(own.pop(0), source.pop(0))
    while own and source and own[-1].size == source[-1].size:
        yield same(own.pop(), source.pop())
    while own or source:
        fit = _first_run(own, source)
        if fit is None:
            yield from (frozen(p, why="reshape mixes axes of open length") for p in (*own, *source))
            return
        yield from _refined(own[: fit[0]], source[: fit[1]])
        own, source = own[fit[0] :], source[fit[1] :]


def _ports(value: Node) -> Iterator[Port]:
    """The axes longer than 1."""
    for axis, length in enumerate(value.type.shape):
        if length != 1:
            yield Port(value, axis)


def _first_run(own: list[Port], source: list[Port]) -> tuple[int, int] | None:
    """How many leading axes of both have one product."""
    i = j = 0
    left = right = 1
    while i == 0 or left != right:
        if left <= right:
            if i == len(own) or not isinstance(length := own[i].size, int):
                return None
            left, i = left * length, i + 1
        else:
            if j == len(source) or not isinstance(length := source[j].size, int):
                return None
            right, j = right * length, j + 1
    return i, j


def _refined(own: list[Port], source: list[Port]) -> Iterator[Law]:
    """Common factors, from the inside out."""
    mine, theirs = _factors(own), _factors(source)
    a, b = mine.pop(), theirs.pop()
    while True:
        common = gcd(_size(a), _size(b))
        if common != min(_size(a), _size(b)):
            yield from (frozen(p, why="reshape cuts across its factors") for p in (*own, *source))
            return
        yield same(_inner(a, common), _inner(b, common))
        a, b = _outer(a, common), _outer(b, common)
        if _size(a) == 1:
            if not mine:
                return
            a = mine.pop()
        if _size(b) == 1:
            if not theirs:
                return
            b = theirs.pop()


def _factors(ports: list[Port]) -> list[tuple[Port, int, int]]:
    """(axis, length left, stride) of each."""
    return [(port, _number(port.size), 1) for port in ports]


def _size(piece: tuple[Port, int, int]) -> int:
    return piece[1]


def _inner(piece: tuple[Port, int, int], size: int) -> Port:
    port, _, stride = piece
    return Port(port.value, port.axis, Factor(size, stride))


def _outer(piece: tuple[Port, int, int], size: int) -> tuple[Port, int, int]:
    port, left, stride = piece
    return port, left // size, stride * size


def _number(size: Dim) -> int:
    if not isinstance(size, int):
        raise AssertionError("an open length in a run of known lengths")
    return size
