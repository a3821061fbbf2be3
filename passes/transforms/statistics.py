"""Statistics of the values at a site, for each of its blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qcompile.analysis.axes.members import Member
from qcompile.calibrate.channels import Channels, channels
from qcompile.calibrate.collect import in_order
from qcompile.errors import CalibrationError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.types import Array

Sample = Sequence[Array]


def collect_channels(
    graph: Graph, members: Sequence[Member], samples: Iterable[Sample], *, threads: int = 1
) -> list[list[Channels]]:
    """For each member, for each of its blocks; the bits do not depend on `threads`."""
    places: dict[Node, list[int]] = {}
    for place, member in enumerate(members):
        places.setdefault(member.value, []).append(place)

    def one(sample: Sample) -> list[list[Channels]]:
        found: dict[int, list[Channels]] = {}
        for node, value in graph.values(sample, keep=list(places)):
            found |= {place: _channels(members[place], value) for place in places[node]}
        return [found[place] for place in range(len(members))]

    total: list[list[Channels]] | None = None
    for part in in_order(one, samples, threads=threads):
        total = part if total is None else [_sums(a, b) for a, b in zip(total, part, strict=True)]
    if total is None:
        raise CalibrationError("no calibration samples: give at least one")
    return total


def _channels(member: Member, value: Array) -> list[Channels]:
    rows, ids = member.rows(value)
    where = member.value.name or member.value.op
    blocks = int(ids.max(initial=0)) + 1
    return [channels(rows[ids == block], where=where) for block in range(blocks)]


def _sums(a: list[Channels], b: list[Channels]) -> list[Channels]:
    return [one + other for one, other in zip(a, b, strict=True)]
