"""Statistics of the values at a site, for each of its blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.members import Member
from qcompile.calibrate.channels import Channels, channels
from qcompile.calibrate.collect import in_order
from qcompile.errors import CalibrationError
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.types import Array

Sample = Sequence[Array]
Moments = NDArray[Any]
"""[blocks, n, n]."""


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


def collect_moments(
    graph: Graph, groups: Sequence[Sequence[Member]], samples: Iterable[Sample], *, threads: int = 1
) -> list[Moments | None]:
    """E[xᵀx] over the vectors of all members of a group, each member weighted to the same power.

    None for a group in which some block has fewer vectors than channels; nothing is summed for it.
    """
    drawn = list(samples)
    places: dict[Node, list[tuple[int, int]]] = {}
    for g, members in enumerate(groups):
        if not _enough(members, len(drawn)):
            continue
        for m, member in enumerate(members):
            places.setdefault(member.value, []).append((g, m))

    def one(sample: Sample) -> dict[tuple[int, int], tuple[Moments, int]]:
        found: dict[tuple[int, int], tuple[Moments, int]] = {}
        for node, value in graph.values(sample, keep=list(places)):
            found |= {(g, m): _products(groups[g][m], value) for g, m in places[node]}
        return found

    total: dict[tuple[int, int], tuple[Moments, int]] = {}
    for part in in_order(one, drawn if places else (), threads=threads):
        for key, (products, count) in part.items():
            known, before = total.get(key, (0.0, 0))
            total[key] = known + products, before + count
    return [
        _moment([total[g, m] for m in range(len(members)) if (g, m) in total])
        for g, members in enumerate(groups)
    ]


def _enough(members: Sequence[Member], samples: int) -> bool:
    """As many vectors as channels, if they are spread evenly over the blocks."""
    rows = 0
    for member in members:
        blocks = prod(int(block.coordinates.max()) + 1 for block in member.blocks)
        shape = static(member.value.type.shape)
        rows += samples * prod(shape) // (member.size * blocks)
    return bool(members) and rows >= members[0].size


def _products(member: Member, value: Array) -> tuple[Moments, int]:
    """Σ xᵀx of each block, and how many vectors the least seen block has."""
    rows, ids = member.rows(value)
    blocks = int(ids.max(initial=0)) + 1
    parts = [rows[ids == block].astype(np.float64) for block in range(blocks)]
    return np.stack([x.T @ x for x in parts]), min(len(x) for x in parts)


def _moment(parts: Sequence[tuple[Moments, int]]) -> Moments | None:
    vectors = sum(count for _, count in parts)
    if not parts or vectors < parts[0][0].shape[-1]:
        return None
    powers = [np.trace(products, axis1=1, axis2=2).sum() for products, _ in parts]
    return sum(
        products / power for (products, _), power in zip(parts, powers, strict=True) if power > 0
    ) + np.zeros_like(parts[0][0])
