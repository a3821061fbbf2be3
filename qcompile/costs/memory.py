"""ram: bytes of values alive at each step, by who decides on their width."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from qcompile.costs.costs import Costs, Key
from qcompile.costs.uniform import Offered, Uniform, by_name
from qcompile.ir.widths import Widths
from qcompile.targets.steps import Owners, ProgramStep

Place = tuple[str, int]  # a step's name, and which step of this name


def peak_costs(programs: Sequence[Uniform], offered: Offered, *, limit: str = "ram") -> Costs:
    """Bytes alive at step t = base(t) + Σ over contractions of what their widths cost at t.

    Exact when all choose alike, as far as buffers that several contractions read are chosen for
    alike, too. The arena is at least the largest of these sums; what the planner loses to gaps
    comes on top. Steps are those that all programs have; a step that only some have (a copy, the
    parts of a sum) counts with the one before it. Steps that cannot be the peak are left out.
    """
    options = by_name(offered)
    places = _common(programs)
    tables = {p.option: _alive(p, places, options) for p in programs}
    rows = _rows(list(tables.values()), places)
    names = {row: f"{limit} {i}" for i, row in enumerate(rows)}
    of = {
        key: {names[row]: float(_at(tables[key[1]], row).get(key[0], 0)) for row in rows}
        for key in offered
    }
    base = {
        names[row]: float(max(_at(table, row).get("", 0) for table in tables.values()))
        for row in rows
    }
    kept = _undominated(of, base)
    return Costs(
        {key: {name: costs[name] for name in kept} for key, costs in of.items()},
        {name: base[name] for name in kept},
        {limit: kept},
    )


Row = tuple[Place, int]
Table = Mapping[Place, Sequence[Mapping[str, int]]]  # bytes by contraction; "" is the base


def _common(programs: Sequence[Uniform]) -> list[Place]:
    """Steps that all programs have, in the order of the first."""
    found = [[place for place, _ in _placed(program.steps)] for program in programs]
    others = [frozenset(places) for places in found[1:]]
    return [place for place in found[0] if all(place in other for other in others)]


def _placed(steps: Sequence[ProgramStep]) -> Iterator[tuple[Place, ProgramStep]]:
    """Each step with its name; steps of one name in a row are one place."""
    last, times = "", dict[str, int]()
    for step in steps:
        if step.name != last or step.name not in times:
            times[step.name] = times.get(step.name, -1) + 1
        last = step.name
        yield (step.name, times[step.name]), step


def _alive(
    program: Uniform, places: Sequence[Place], options: Mapping[str, Sequence[Widths]]
) -> dict[Place, list[dict[str, int]]]:
    """At each common place the steps there and behind it, up to the next one."""
    known = frozenset(places)
    found: dict[Place, list[dict[str, int]]] = {place: [] for place in places}
    at = places[0]
    for place, step in _placed(program.steps):
        at = place if place in known else at
        bytes_of: dict[str, int] = {}
        for owners, size in step.alive.items():
            name = _decides(owners, options)
            bytes_of[name] = bytes_of.get(name, 0) + size
        found[at].append(bytes_of)
    return found


def _decides(owners: Owners, options: Mapping[str, Sequence[Widths]]) -> str:
    """Of those who read a value the one with most widths to choose from; nobody of none."""
    offered = [name for name in owners if name in options]
    return max(offered, key=lambda name: len({o.activation for o in options[name]}), default="")


def _rows(tables: Sequence[Table], places: Sequence[Place]) -> list[Row]:
    """Every place as often as the program with most steps there has it."""
    return [(p, i) for p in places for i in range(max(len(table[p]) for table in tables))]


def _at(table: Table, row: Row) -> Mapping[str, int]:
    """The steps at a place one by one; where there are fewer, the last again."""
    place, i = row
    steps = table[place]
    return steps[min(i, len(steps) - 1)]


def _undominated(
    of: Mapping[Key, Mapping[str, float]], base: Mapping[str, float]
) -> tuple[str, ...]:
    """Resources that can be the largest: none other costs as much in every option."""
    names = list(base)
    table = np.array([[base[name], *(costs[name] for costs in of.values())] for name in names])
    kept: list[str] = []
    for i, row in enumerate(table):
        above = (table >= row).all(axis=1)
        above[i] = False
        same = (table == row).all(axis=1)
        beaten = bool((above & ~same).any()) or bool(same[:i].any())
        kept += [] if beaten else [names[i]]
    return tuple(kept)
