"""Costs as a table: of every option, of what is there whatever is chosen, and of which peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from qcompile.ir.widths import Widths

Key = tuple[str, Widths]


@dataclass(frozen=True)
class Costs:
    """`of`: contraction and widths → resource → cost. `base`: resource → cost in any case.

    `peaks`: a limit's name → the resources of which it limits the largest sum. What `problem_of_
    widths` takes.
    """

    of: Mapping[Key, Mapping[str, float]]
    base: Mapping[str, float] = field(default_factory=dict[str, float])
    peaks: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


def together(parts: Sequence[Costs]) -> Costs:
    """Costs in the resources of all parts, one or more, which speak of the same options."""
    return Costs(
        {key: {r: c for part in parts for r, c in part.of[key].items()} for key in parts[0].of},
        {resource: cost for part in parts for resource, cost in part.base.items()},
        {limit: names for part in parts for limit, names in part.peaks.items()},
    )
