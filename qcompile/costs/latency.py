"""latency: milliseconds of each contraction's steps, by the target's model or from a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qcompile.costs.costs import Costs
from qcompile.costs.uniform import Offered, Uniform
from qcompile.targets.steps import ProgramStep

Clock = Callable[[ProgramStep], float]


def time_costs(
    programs: Sequence[Uniform], offered: Offered, clock: Clock, *, call: float = 0.0
) -> Costs:
    """A contraction costs the steps that carry it, and those whose result it is first to read.

    Each is timed among others of the same option. The base is `call`, which a run costs beside
    its steps, and the steps behind the last contraction or of contractions without a choice.
    """
    names = frozenset(name for name, _ in offered)
    spent = {program.option: _spent(program, clock) for program in programs}
    rest = [
        sum(time for name, time in times.items() if name not in names) for times in spent.values()
    ]
    return Costs(
        {key: {"latency": spent[key[1]].get(key[0], 0.0)} for key in offered},
        {"latency": max(rest) + call},
    )


def milliseconds(steps: Sequence[ProgramStep], clock: Clock) -> float:
    """What a run on reals takes in all its steps."""
    return sum(clock(step) for step in steps if step.taken)


def _spent(program: Uniform, clock: Clock) -> dict[str, float]:
    found: dict[str, float] = {}
    for step in program.steps:
        if step.taken:
            found[step.contraction] = found.get(step.contraction, 0.0) + clock(step)
    return found
