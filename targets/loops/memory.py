"""Where the buffers of a lowered graph lie: one arena, by the steps that touch them."""

from __future__ import annotations

from qcompile.program.plan import plan
from qcompile.program.program import Buffer, Call, Program
from qcompile.targets.loops.select import Lowered


def planned(lowered: Lowered) -> Program[int]:
    """The steps' buffers in one arena."""
    calls: list[Call[int]] = []
    for i, step in enumerate(lowered.steps):
        written = (step.args[-1], *(value.where for _, value in step.beside))
        writes = tuple(a for a in written if isinstance(a, Buffer))
        reads = tuple(a for a in step.args[:-1] if isinstance(a, Buffer))
        calls.append(Call(i, reads, writes))
    return plan(calls)
