"""Where the buffers of a lowered graph lie: one arena, by the steps that touch them."""

from __future__ import annotations

from collections.abc import Sequence

from qcompile.program.plan import plan
from qcompile.program.program import Buffer, Call, Program
from qcompile.targets.loops.draft import Step_
from qcompile.targets.loops.select import Lowered


def planned(lowered: Lowered) -> Program[int]:
    """The steps' buffers in one arena."""
    return plan(calls(lowered.steps))


def calls(steps: Sequence[Step_]) -> list[Call[int]]:
    """What each step reads and writes of memory, by its number."""
    found: list[Call[int]] = []
    for i, step in enumerate(steps):
        written = (step.args[-1], *(value.where for _, value in step.beside))
        writes = tuple(a for a in written if isinstance(a, Buffer))
        reads = tuple(a for a in step.args[:-1] if isinstance(a, Buffer))
        found.append(Call(i, reads, writes))
    return found
