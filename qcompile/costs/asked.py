"""The costs that a budget asks for, and no others."""

from __future__ import annotations

from collections.abc import Collection

from qcompile.costs.costs import Costs, together
from qcompile.costs.latency import Clock, time_costs
from qcompile.costs.memory import peak_costs
from qcompile.costs.subject import Subject
from qcompile.costs.weights import bops_costs, size_costs
from qcompile.errors import UsageError
from qcompile.profile.lookup import Lookup
from qcompile.targets.steps import ProgramStep


def asked_costs(subject: Subject, budget: Collection[str], table: Lookup | None = None) -> Costs:
    """Sizes and bit operations always; `latency` and `ram`, for which the model is lowered once for
    each option, where the budget limits them.

    `TargetError` of a target whose program is not its own; `UsageError` where times are not known.
    """
    sites = {site.name: site for site in subject.sites}
    parts = [
        size_costs(subject.offered, sites, constants=subject.constants),
        bops_costs(subject.offered, subject.nodes),
    ]
    if "latency" in budget:
        call = 0.0 if table is None else table.table.call
        clock = modelled(subject.place.name) if table is None else table
        parts.append(time_costs(subject.programs, subject.offered, clock, call=call))
    if "ram" in budget:
        parts.append(peak_costs(subject.programs, subject.offered))
    return together(parts)


def modelled(target: str) -> Clock:
    """The target's own predictions, where it has any."""

    def clock(step: ProgramStep) -> float:
        if step.milliseconds is None:
            raise UsageError(
                f"--budget latency: what kernels of {target} take is measured, not modelled: make "
                f"a table with `qcompile profile MODEL --target {target} -o table.json` and give "
                "--latency-table table.json"
            )
        return step.milliseconds

    return clock
