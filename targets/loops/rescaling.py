"""Rescales as expressions: which arithmetic is exact, and cheapest, for the proven bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.numerics.rounding import shift_half_up
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Draft

INT32_MAX = (1 << 31) - 1
INT64_MAX = (1 << 63) - 1
FEW = 1 << 12  # integers that are all tried


def rescaled(
    x: e.Expr,
    m: NDArray[np.int64],
    shift: int,
    *,
    plus: int,
    lo: int,
    hi: int,
    draft: Draft,
    paired: bool,
) -> e.Expr:
    """clip((x · m + 2^(shift−1) >> shift) + plus, lo, hi); m broadcasts to the output places."""
    paired = paired and draft.lanes > 1
    if m.size == 1:
        return _by_one(x, int(m.reshape(())), shift, plus=plus, lo=lo, hi=hi, paired=paired)
    greatest = int(m.max())
    fits = _fits_word(x, greatest, shift, plus)
    step = (greatest >> shift) + 2
    if not fits and max(abs(lo), abs(hi)) + step <= INT32_MAX:
        x = _held(x, m, shift, plus=plus, lo=lo, hi=hi, draft=draft)
        fits = True
    per_lane = m.shape[draft.order[-1]] > 1 and m.size == m.shape[draft.order[-1]]
    fits = fits and _reach(x, greatest, shift, plus) <= INT64_MAX
    if paired and per_lane and fits:
        return e.Rescale(lo, hi, "i32", x, _pairs(m, draft), shift, plus, paired=True)
    stored = draft.constant(m.astype(np.int32), "i32")
    factor = e.load(stored.view, "i32", lo=int(m.min()), hi=greatest)
    return e.Rescale(lo, hi, "i32", x, factor, shift, plus)


def _by_one(x: e.Expr, m: int, shift: int, *, plus: int, lo: int, hi: int, paired: bool) -> e.Expr:
    """One multiplier: hold x to where the result is in bounds, then use the narrowest words."""

    def value(q: int) -> int:
        return ((q * m + ((1 << shift) >> 1)) >> shift) + plus  # half up

    if m == 0:
        return e.imm(min(max(plus, lo), hi))
    if value(x.lo) < lo:
        x = e.clip(x, _first(value, lo, x.lo, x.hi, strict=m > 1 << shift), INT32_MAX)
    if value(x.hi) > hi:
        x = e.clip(x, -INT32_MAX - 1, _last(value, hi, x.lo, x.hi, strict=m > 1 << shift))
    low, high = value(x.lo), value(x.hi)
    m, shift = shorter(m, shift, x.lo, x.hi)
    half = (1 << shift) >> 1
    bounds = (max(min(low, hi), lo), min(max(high, lo), hi))
    if max(-x.lo, x.hi) * m + half <= INT32_MAX:
        scaled = e.Rescale(low, high, "i32", x, e.imm(m), shift, plus, word=True)
        return scaled if lo <= low and high <= hi else e.clip(scaled, lo, hi)
    fits = max(-low, high) <= INT32_MAX and _reach(x, m, shift, plus) <= INT64_MAX
    held = e.Rescale(*bounds, "i32", x, e.imm(m), shift, plus, paired=paired and fits)
    return held


def shorter(m: int, shift: int, lo: int, hi: int) -> tuple[int, int]:
    """A multiplier and shift that rescale every integer of lo … hi to the same value, half up.

    The shortest whose products fit 32 bits; the given ones where there is none, or many integers.
    """
    greatest = max(-lo, hi)
    if greatest * m + ((1 << shift) >> 1) <= INT32_MAX or hi - lo >= FEW:
        return m, shift
    every = np.arange(lo, hi + 1, dtype=np.int64)
    wanted = shift_half_up(every * m, shift)
    for fewer in range(shift):
        rounded = (m + (1 << (shift - fewer - 1))) >> (shift - fewer)
        if greatest * rounded + ((1 << fewer) >> 1) > INT32_MAX:
            break
        if np.array_equal(shift_half_up(every * rounded, fewer), wanted):
            return rounded, fewer
    return m, shift


def _first(value: Any, lo: int, least: int, greatest: int, *, strict: bool) -> int:
    """The least x whose value reaches lo; with steps above 1 the one before it."""
    while least < greatest:
        middle = (least + greatest) // 2
        if value(middle) >= lo:
            greatest = middle
        else:
            least = middle + 1
    return least - strict


def _last(value: Any, hi: int, least: int, greatest: int, *, strict: bool) -> int:
    """The greatest x whose value does not pass hi; with steps above 1 the one behind it."""
    while least < greatest:
        middle = (least + greatest + 1) // 2
        if value(middle) <= hi:
            least = middle
        else:
            greatest = middle - 1
    return least + strict


def _reach(x: e.Expr, m: int, shift: int, plus: int) -> int:
    return max(-x.lo, x.hi) * m + (abs(plus) << shift) + (1 << shift)


def _fits_word(x: e.Expr, m: int, shift: int, plus: int) -> bool:
    return ((max(-x.lo, x.hi) * m) >> shift) + abs(plus) + 1 <= INT32_MAX


def _held(
    x: e.Expr, m: NDArray[np.int64], shift: int, *, plus: int, lo: int, hi: int, draft: Draft
) -> e.Expr:
    """x held, channel by channel, to where the rescaled value just passes its bounds."""
    low = np.array([_crossing(lo - 1 - plus, int(v), shift, up=False) for v in m.reshape(-1)])
    high = np.array([_crossing(hi + 1 - plus, int(v), shift, up=True) for v in m.reshape(-1)])
    floor = draft.constant(low.reshape(m.shape).astype(np.int32), "i32")
    ceiling = draft.constant(high.reshape(m.shape).astype(np.int32), "i32")
    above = e.Binary(x.lo, x.hi, "i32", "max", x, floor)
    return e.Binary(
        max(x.lo, int(low.min())), min(x.hi, int(high.max())), "i32", "min", above, ceiling
    )


def _crossing(target: int, m: int, shift: int, *, up: bool) -> int:
    """An x of 32 bits whose rescaled value is at or just beyond `target`."""
    if m == 0:
        return INT32_MAX if up else -INT32_MAX - 1
    exact = (target << shift) // m
    return min(exact + 1, INT32_MAX) if up else max(exact - 1, -INT32_MAX - 1)


def _pairs(m: NDArray[np.int64], draft: Draft) -> e.Load:
    """Multipliers in 64 bits, for each register the even lanes' first, then the odd lanes'."""
    flat = m.reshape(-1)
    room = -flat.size % max(draft.lanes, 16)
    blocks = np.pad(flat, (0, room)).reshape(-1, draft.lanes // 2, 2)
    stored = draft.weights.put(np.ascontiguousarray(blocks.transpose(0, 2, 1)))
    strides = [0] * len(draft.shape)
    number = draft.view(stored, "i64", strides, block=draft.lanes, lane=1)
    return e.load(number, "i64")
