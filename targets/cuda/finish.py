"""What becomes of a contraction's sums: the `finish` method of its Problem.

A contraction's struct consists of constants and addresses of its own and of what is made here:

    struct Problem {
        ...                                     // constants, row, column: by the contraction
        {members}                               // const T* v2; ... T* out;
        {method}                                // void finish(int m, int n, int split,
                                                //     bool inside, sums) const
    };

and its kernel, whose parameters are `parameters(nest)`, makes one as `Problem{{arguments}}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from qcompile.targets.cuda.addresses import Places
from qcompile.targets.cuda.arrays import Array, known, results
from qcompile.targets.cuda.formats import TYPES
from qcompile.targets.cuda.nest_kernel import decomposed
from qcompile.targets.cuda.printer import Block, loads, lookups
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.nest import Nest, Table, View


@dataclass(frozen=True, slots=True)
class Finish:
    """Declarations of the pointers that are used, the method, and what the kernel fills in."""

    members: str
    method: str
    arguments: str


def finish_source(nest: Nest, *, parts: int = 0, arrays: Sequence[Array] = ()) -> Finish:
    """`finish` for a nest whose accumulator is the given sum plus `init`.

    `m` counts the places of all output loops but the last, `n` the channels along that, a multiple
    of the nest's lanes. Part number `split` of the sum is written `parts` elements behind the one
    before. Channels beyond the last are written where rows are padded, not where `nest.exact`;
    nothing is unless `inside`.
    """
    names = [f"v{i}" for i in _used(nest)]
    outs = (nest.out, *(a.out for a in nest.also))
    members = [f"const {TYPES[nest.views[i].elem]}* __restrict__ v{i};" for i in _used(nest)]
    members += [f"{TYPES[o.elem]}* __restrict__ out{i or ''};" for i, o in enumerate(outs)]
    names += [f"out{i or ''}" for i in range(len(outs))]
    method = "\n".join(
        (
            "void finish(",
            f"    int m, int n, int split, bool inside, const int (&sums)[{nest.lanes}]) const {{",
            *_body(nest, parts, known(nest, arrays)),
            "}",
        )
    )
    return Finish("\n".join(members), method, ", ".join(names))


def _body(nest: Nest, parts: int, arrays: Sequence[Array]) -> list[str]:
    nest, places, digits = _placed(nest)
    outer = (*places, f"n / {nest.lanes}" if nest.blocks > 1 else "0")
    inner = ("0",) * len(nest.inner)
    first = "n" if nest.blocks > 1 else "0"
    block = Block(nest, Places(outer, inner, first), arrays, guard="if (inside) ")
    for line in digits:
        block.line(line)
    if block.counts:
        block.line(f"const int count = {nest.outer[-1]}{' - n' if nest.blocks > 1 else ''};")
    init = nest.init or e.imm(0)
    block.read(init, nest.finish, *(a.result for a in nest.also))
    block.acc = _started(block, init)
    block.write(results(nest, arrays, more=f"split * {parts}" if parts else ""))
    return block.lines


def _placed(nest: Nest) -> tuple[Nest, tuple[str, ...], list[str]]:
    """The nest as it is walked along m, the indices of its loops over places, their declarations.

    Σ digit · step of the number m is Σ quotient · (step − what the loop inside walks in all): most
    quotients have the factor 0, and those that have not need no remainder.
    """
    extents = nest.outer[:-1]
    loops = [i for i, d in enumerate(extents) if d > 1]
    if any(isinstance(view.steps[i], Table) for view in _touched(nest) for i in loops):
        names = tuple(f"i{i}" if i in loops else "0" for i in range(len(extents)))
        return nest, names, decomposed("m", names, extents)
    also = tuple(replace(a, out=_along(a.out, nest)) for a in nest.also)
    views = tuple(_along(view, nest) for view in nest.views)
    whole = tuple(prod(extents[: i + 1]) for i in range(len(extents)))
    walked = replace(
        nest, outer=(*whole, nest.outer[-1]), views=views, out=_along(nest.out, nest), also=also
    )
    used = {i for view in _touched(walked) for i in loops if view.steps[i] != 0}
    names = tuple(f"i{i}" if i in used else "0" for i in range(len(extents)))
    if loops:
        names = tuple("m" if i == loops[-1] else name for i, name in enumerate(names))
    declared = [
        f"const int i{i} = qc::quotient<{prod(extents[i + 1 :])}, {prod(extents)}>(m);"
        for i in sorted(used - set(loops[-1:]))
    ]
    return walked, names, declared


def _along(view: View, nest: Nest) -> View:
    """The view with steps of quotients of m rather than of its digits."""
    steps, inside = list(view.steps), 0
    for i in reversed(range(len(nest.outer) - 1)):
        step, extent = steps[i], nest.outer[i]
        if isinstance(step, Table):
            return view
        steps[i] = step - inside if extent > 1 else 0
        inside = step * extent if extent > 1 else inside
    return replace(view, steps=tuple(steps))


def _touched(nest: Nest) -> list[View]:
    """The views that finishing reads or writes."""
    return [*(nest.views[i] for i in _used(nest)), nest.out, *(a.out for a in nest.also)]


def _started(block: Block, init: e.Expr) -> str:
    """The accumulator: the sum plus what it starts from."""
    if isinstance(init, e.Imm) and init.value == 0:
        return "sums[i]"
    lane = block.lane(init)
    start = lane.value(init)
    assert not lane.lines
    return f"(sums[i] + {start})"


def _used(nest: Nest) -> list[int]:
    """The views that are read once the sum is known, and the tables they are looked up by."""
    every = (nest.init, nest.finish, *(a.result for a in nest.also))
    used = {*loads(*every), *lookups(*every)}
    steps = (s for i in used for s in (*nest.views[i].steps, nest.views[i].lane))
    tables = {s.view for s in steps if isinstance(s, Table)}
    return sorted(used | tables)
