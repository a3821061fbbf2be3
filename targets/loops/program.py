"""A lowered graph as steps in numbers: for the costs of bit assignment and for tables of times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from qcompile.program.program import Buffer
from qcompile.targets.loops.draft import Step_, Stored
from qcompile.targets.loops.lowering import Lowering
from qcompile.targets.loops.memory import planned
from qcompile.targets.loops.nest import Nest
from qcompile.targets.loops.owners import ownership
from qcompile.targets.loops.select import lower
from qcompile.targets.steps import Kernel, Outline, Owners, ProgramStep

Told = Callable[[Step_], tuple[str, float | None]]


def outlined(ctx: Lowering, tell: Told) -> Outline:
    """The program of the lowering's graph. `tell`: a kernel's name and predicted milliseconds."""
    lowered = lower(ctx)
    owned = ownership(ctx, lowered.steps)
    skipped = {id(step) for step in (*lowered.enter_raw, *lowered.leave_raw)}
    rows = zip(lowered.steps, owned.contractions, owned.alive, strict=True)
    steps = tuple(
        _told(step, tell(step), contraction, alive, taken=id(step) not in skipped)
        for step, contraction, alive in rows
    )
    return Outline(steps, planned(lowered).size)


def _told(
    step: Step_,
    said: tuple[str, float | None],
    contraction: str,
    alive: Mapping[Owners, int],
    *,
    taken: bool,
) -> ProgramStep:
    name, milliseconds = said
    kernel = Kernel(name, kind(step.nest), macs(step.nest), traffic(step))
    title = step.node.name or step.node.op
    return ProgramStep(title, contraction, kernel, taken, milliseconds, alive)


def kind(nest: Nest) -> str:
    """`map`, or how a reduction combines and over how many loops: `dot 3`, `add 2`."""
    return f"{nest.combine} {len(nest.inner)}" if nest.body is not None else "map"


def macs(nest: Nest) -> int:
    """How often the body of the loops is computed."""
    return prod(nest.outer) * prod(nest.inner)


def traffic(step: Step_) -> int:
    """Bytes of all arrays of ours that the step touches."""
    arrays = (*step.args, *(value.where for _, value in step.beside))
    sizes = {a: a.size if isinstance(a, Buffer) else a.nbytes for a in arrays
             if isinstance(a, Buffer | Stored)}  # fmt: skip
    return sum(sizes.values())
