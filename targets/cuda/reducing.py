"""Reduced loops: serial in a thread, or shared by a warp where neighbours become one number.

The first steps of a serial loop are spelled out so that reads overlap. A warp's sums of reals are
added in another order than the interpreter's, the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from qcompile.targets.cuda.formats import kind
from qcompile.targets.cuda.printer import UNROLL, Block
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.nest import Nest

WARP = 32
SHARED = 2 * WARP  # terms from which on a warp shares them
SPELLED = 16  # steps of a reduction that are spelled out at once
PAIRS: Mapping[str, str] = {"add": "__fadd_rn", "mul": "__fmul_rn", "max": "fmaxf", "min": "fminf"}
NEUTRAL: Mapping[str, int] = {"add": 0, "mul": 1}


def is_shared(nest: Nest) -> bool:
    """A warp makes each number: its terms are many and lie, or run, along the last reduced loop."""
    return nest.lanes == 1 and nest.body is not None and nest.inner[-1] >= SHARED


def reduced(block: Block, body: e.Expr, *, together: bool) -> None:
    """`acc`, the accumulator of all lanes; `together`: each thread of a warp adds a part."""
    nest = block.nest
    assert nest.init is not None
    block.read(nest.init)
    each = nest.lanes > 1
    block.acc = "acc[i]" if each else "acc"
    lane = block.lane(nest.init)
    start = lane.result(nest.init)
    if together and nest.combine in NEUTRAL:
        start = f"part == 0 ? {start} : {NEUTRAL[nest.combine]}"
    if each:
        block.line(f"{kind(body.elem)} acc[{nest.lanes}];")
        block.each_lane([*lane.lines, f"acc[i] = {start};"])
    else:
        block.each_lane([*lane.lines, f"{kind(body.elem)} acc = {start};"])
    block.read(body)
    _loops(block, body, 0, together=together)
    if together:
        other = "__shfl_xor_sync(~0u, acc, far)"
        block.line(UNROLL)
        head = f"for (int far = {WARP // 2}; far > 0; far /= 2)"
        block.line(f"{head} {_combined(nest.combine, 'acc', other, real=body.is_float)}")


def _loops(block: Block, body: e.Expr, loop: int, *, together: bool) -> None:
    """The reduced loops from `loop` on, and within them one step of the sum."""
    inner = block.nest.inner
    if loop == len(inner):
        block.read(body, inner=True)
        lane, combine = block.lane(body), block.nest.combine
        value = lane.value(body) if combine == "mul" else lane.result(body)
        step = _combined(combine, block.acc, value, real=body.is_float)
        block.each_lane([*lane.lines, step])
        return
    if inner[loop] == 1:
        _loops(block, body, loop + 1, together=together)
        return
    block.line(_unroll(inner, loop))
    name, spread = f"r{loop}", together and loop == len(inner) - 1
    first, step = ("part", f"{name} += {WARP}") if spread else ("0", f"++{name}")
    with block.scope(f"for (int {name} = {first}; {name} < {inner[loop]}; {step})"):
        _loops(block, body, loop + 1, together=together)


def _unroll(inner: Sequence[int], loop: int) -> str:
    within = prod(inner[loop + 1 :])
    if within * inner[loop] <= SPELLED:
        return UNROLL
    return f"{UNROLL} {max(1, SPELLED // 2 // within)}"


def _combined(combine: str, acc: str, value: str, *, real: bool) -> str:
    """The statement that adds one term to the accumulator."""
    if real:
        return f"{acc} = {PAIRS[combine]}({acc}, {value});"
    match combine:
        case "add":
            return f"{acc} += {value};"
        case "mul":
            return f"{acc} *= {value};"
        case "max" | "min":
            return f"{acc} = {combine}({acc}, {value});"
        case _:
            raise AssertionError(combine)
