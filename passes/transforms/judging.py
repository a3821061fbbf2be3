"""What a site's change costs the contractions that it reaches, and how they are after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from numpy.typing import NDArray

from qcompile.analysis.axes.members import Member
from qcompile.analysis.axes.sites import Site
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.passes.roles import activations
from qcompile.passes.transforms.changes import altered
from qcompile.passes.transforms.constants import Change
from qcompile.passes.transforms.probes import Probe, constant_weight, probe
from qcompile.passes.transforms.readers import Contraction, Reader, Writer, readers, writers

JUDGES = 16  # contractions that judge one site, evenly spaced along the graph
Probes = Mapping[Contraction, Probe]
Values = NDArray[Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Judges:
    """Contractions that a site reaches: those that read it, and those that write it."""

    readers: tuple[Reader, ...]
    writers: tuple[Writer, ...] = ()

    @property
    def nodes(self) -> tuple[Contraction, ...]:
        """All of them."""
        return tuple(own.node for own in (*self.readers, *self.writers))


def judges(graph: Graph, site: Site) -> Judges:
    """Those that read and those that write the site, at most 16 of each."""
    return Judges(_few(readers(graph, site)), _few(writers(graph, site)))


def error(own: Judges, probes: Probes, change: Change | None) -> float:
    """The relative errors of what is read, and of the weights that write, summed."""
    read = sum(_read_error(reader, probes[reader.node], change) for reader in own.readers)
    return read + sum(_written_error(w, probes[w.node], change) for w in own.writers)


def after(probes: Probes, site: Site, change: Change) -> dict[Contraction, Probe]:
    """All probes, those that the site reaches with their new operands, weights and results."""
    members: dict[Node, list[Member]] = {}
    for member in site.members:
        members.setdefault(member.value, []).append(member)
    return {node: _after(own, members, change) for node, own in probes.items()}


def _after(own: Probe, members: Mapping[Node, list[Member]], change: Change) -> Probe:
    at_edge = members.get(activations(own.node)[0], [])
    at_weight = members.get(constant_weight(own.node), [])
    if not at_edge and not at_weight:
        return own
    operands = tuple(_all_altered(x, at_edge, change) for x in own.operands)
    weights = _all_altered(own.weights, at_weight, change)
    return probe(own.node, operands, weights, widths=own.widths, recipe=own.recipe)


def _all_altered(array: Values, members: list[Member], change: Change) -> Values:
    for member in members:
        array = altered(member, array, change)
    return array


def _read_error(reader: Reader, own: Probe, change: Change | None) -> float:
    if change is None:
        return own.own_error
    operands = [altered(reader.edge, x, change) for x in own.operands]
    return own.error(operands, altered(reader.weight, own.weights, change))


def _written_error(writer: Writer, own: Probe, change: Change | None) -> float:
    found = own.weights if change is None else altered(writer.weight, own.weights, change)
    return own.weight_error(found)


def _few(items: tuple[T, ...]) -> tuple[T, ...]:
    kept = min(len(items), JUDGES)
    return tuple(items[i * len(items) // kept] for i in range(kept))
