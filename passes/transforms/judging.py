"""What a site's change costs the contractions that it reaches, and how they are after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

from qcompile.analysis.axes.sites import Site
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.passes.roles import activations
from qcompile.passes.transforms.changes import altered
from qcompile.passes.transforms.constants import Change
from qcompile.passes.transforms.factors import Factor, Shares
from qcompile.passes.transforms.meetings import Meeting
from qcompile.passes.transforms.notes import Note
from qcompile.passes.transforms.probes import Alteration, Probe, constant_weight, few_outputs
from qcompile.passes.transforms.products import Factors, ProductProbe
from qcompile.passes.transforms.readers import Contraction, Reader, Writer, readers, writers

JUDGES = 16  # contractions that judge one site, evenly spaced along the graph
WORTH = 0.98  # of the error: a smaller gain is chance
Probes = Mapping[Contraction, Probe]
Heard = Callable[[], object]
T = TypeVar("T")


def nobody() -> None:
    """Hears, and does nothing."""


@dataclass(frozen=True)
class Judges:
    """What a site reaches: contractions that read it, those that write it, products of two values
    in which its changes meet, and factors of what is read with the shares of their channels."""

    readers: tuple[Reader, ...]
    writers: tuple[Writer, ...] = ()
    products: tuple[tuple[Meeting, ProductProbe], ...] = ()
    factors: tuple[tuple[Factor, Shares], ...] = ()

    @property
    def nodes(self) -> tuple[Contraction, ...]:
        """All contractions."""
        return tuple(own.node for own in (*self.readers, *self.writers))

    @property
    def count(self) -> int:
        """How many judge."""
        return sum(map(len, (self.readers, self.writers, self.products, self.factors)))


def judges(graph: Graph, site: Site) -> Judges:
    """Those that read and those that write the site, at most 16 of each."""
    return Judges(_few(readers(graph, site)), _few(writers(graph, site)))


def errors(
    own: Judges, probes: Probes, changes: Sequence[Change], heard: Heard = nobody
) -> tuple[float, list[float]]:
    """The relative errors of what is read, and of the weights that write, summed: as they are, and
    after each of the changes. Each weight is loaded once, one after the other; `heard` is called
    after each of the `count` judges."""
    rows: list[list[float]] = []
    for row in _rows(own, probes, changes):
        rows.append(row)
        heard()
    before, *after = (sum(column, 0.0) for column in zip(*rows, strict=True))
    return before, after


def _rows(own: Judges, probes: Probes, changes: Sequence[Change]) -> Iterator[list[float]]:
    """Each judge's errors."""
    yield from (_read_errors(r, probes[r.node], changes) for r in own.readers)
    yield from (_written_errors(w, probes[w.node], changes) for w in own.writers)
    yield from (_product_errors(*met, changes) for met in own.products)
    yield from (factor.errors(shares, changes) for factor, shares in own.factors)


def weight_errors(
    own: Judges, probes: Probes, changes: Sequence[Change]
) -> tuple[float, list[float]]:
    """The relative errors of the weights alone, as `errors` has them: what is known without
    samples."""
    rows = [[0.0] * (1 + len(changes))]
    rows += [_written_errors(w, probes[w.node], changes) for w in (*own.readers, *own.writers)]
    before, *after = (sum(column, 0.0) for column in zip(*rows, strict=True))
    return before, after


def least(
    own: Judges,
    probes: Probes,
    tried: Sequence[tuple[str, Change]],
    note: Note,
    heard: Heard = nobody,
) -> tuple[Change | None, Note]:
    """The change after which least is lost, and the note with what was chosen; none where no change
    gains more than chance."""
    before, found = errors(own, probes, [change for _, change in tried], heard)
    best = min(range(len(tried)), key=found.__getitem__, default=None)
    if best is None or found[best] >= before * WORTH:
        return None, replace(note, choice="none", before=before, after=before)
    words, change = tried[best]
    return change, replace(note, choice=words, before=before, after=found[best])


def after(probes: Probes, site: Site, change: Change) -> dict[Contraction, Probe]:
    """All probes, those that the site reaches with their new operands and weights."""
    members: dict[Node, list[Alteration]] = {}
    for member in site.members:
        members.setdefault(member.value, []).append((member, change))
    return {node: _after(own, members) for node, own in probes.items()}


def _after(own: Probe, members: Mapping[Node, list[Alteration]]) -> Probe:
    at_edge = members.get(activations(own.node)[0], [])
    at_weight = members.get(constant_weight(own.node), [])
    return replace(own, at_edge=(*own.at_edge, *at_edge), at_weight=(*own.at_weight, *at_weight))


def _read_errors(reader: Reader, own: Probe, changes: Sequence[Change]) -> list[float]:
    across = any(block.axis != reader.weight.axis for block in reader.weight.blocks)
    operands, weights = (own.operands, own.weights) if across else own.sides()
    wanted = own.results((operands, weights))
    found = [own.error(wanted, (operands, weights))]
    for change in changes:
        turned = [altered(reader.edge, x, change) for x in operands]
        sides = turned, altered(reader.weight, weights, change)
        found.append(own.error(wanted, sides))
    return found


def _product_errors(meeting: Meeting, own: ProductProbe, changes: Sequence[Change]) -> list[float]:
    found = [own.error(own.factors)]
    return found + [own.error(turned(meeting, own.factors, change)) for change in changes]


def turned(meeting: Meeting, factors: Factors, change: Change) -> Factors:
    """Both factors of a product after a change."""
    first, second = (
        [altered(member, value, change) for value in values]
        for member, values in zip(meeting.members, factors, strict=True)
    )
    return first, second


def _written_errors(writer: Reader | Writer, own: Probe, changes: Sequence[Change]) -> list[float]:
    weights = own.weights
    turned = (altered(writer.weight, weights, change) for change in changes)
    return [own.weight_error(few_outputs(own.node, each)) for each in chain((weights,), turned)]


def _few(items: tuple[T, ...]) -> tuple[T, ...]:
    kept = min(len(items), JUDGES)
    return tuple(items[i * len(items) // kept] for i in range(kept))
