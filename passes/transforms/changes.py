"""What a map at a site does to vectors: scales, shifts and matrices, on any member's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.members import Indices, Member
from qcompile.numerics.spreading import spread
from qcompile.passes.transforms.constants import Change

Values = NDArray[Any]


def scaling(s: Values) -> Change:
    """v · s^exponent; `s` is [blocks, size]."""

    def change(member: Member, rows: Values, ids: Indices) -> Values:
        powers = s ** float(member.exponent)
        return rows * (powers if len(s) == 1 else powers[ids])

    return change


def shifting(z: Values) -> Change:
    """v − exponent · z; `z` is [blocks, size]."""

    def change(member: Member, rows: Values, ids: Indices) -> Values:
        taken = z * float(member.exponent)
        return rows - (taken if len(z) == 1 else taken[ids])

    return change


def turning(matrices: Values) -> Change:
    """v · T, v · T^-T where the exponent is −1; `matrices` is [blocks, size, size]."""
    inverses = np.linalg.inv(matrices).swapaxes(1, 2)

    def change(member: Member, rows: Values, ids: Indices) -> Values:
        stack = matrices if member.exponent > 0 else inverses
        if len(stack) == 1:
            return rows @ stack[0]
        result = np.empty_like(rows)
        for block, matrix in enumerate(stack):
            own = ids == block
            result[own] = rows[own] @ matrix
        return result

    return change


def spreading(order: int, *, seed: int) -> Change:
    """v · diag(ε)·(I ⊗ H)/√order on every member: it is orthogonal, so T^-T is T."""
    return lambda member, rows, ids: spread(rows, order=order, seed=seed)


def behind(first: Change, second: Change) -> Change:
    """`second` on what `first` gave."""
    return lambda member, rows, ids: second(member, first(member, rows, ids), ids)


def altered(member: Member, array: Values, change: Change) -> Values:
    """The member's numbers after the change, in float64."""
    wide = array.astype(np.float64)
    return member.put(wide, change(member, *member.rows(wide)))
