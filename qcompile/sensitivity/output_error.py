"""The damage as it is: one contraction quantized, all else real, the outputs' error measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from qcompile.ir.node import Node
from qcompile.ir.widths import Widths
from qcompile.sensitivity.network import versions
from qcompile.sensitivity.quantized import Quantized, mean_shifts
from qcompile.sensitivity.sketch import LENGTH
from qcompile.sensitivity.study import Study
from qcompile.sensitivity.walk import Change, Vector, Walk, stops

T = TypeVar("T")


@dataclass(frozen=True)
class OutputError:
    """E‖y' − y‖² / E‖y‖², the outputs judged before a final softmax or sigmoid.

    As in a compiled model the mean error of each channel is taken out of the bias. Values before a
    contraction are computed once; each option runs only what lies behind it.
    """

    name: ClassVar[str] = "output-error"

    @property
    def facts(self) -> Mapping[str, str]:
        """torch's version and what it makes of this processor."""
        return versions()

    def measure(
        self, study: Study, wanted: Mapping[str, Sequence[Widths]]
    ) -> Iterator[tuple[str, Widths, float]]:
        """One contraction after the other, in graph order."""
        return _measured(study, wanted, lambda walk, node, change: walk.damages(node, change))


@dataclass(frozen=True)
class OutputErrorPairs:
    """The same damages, and what every two contractions damage together.

    The outputs' error by two contractions is, to first order, the sum of what each one does, so
    together they damage 2·E⟨Δy, Δ'y⟩ / E‖y‖² more: the pair terms of CLADO (arXiv 2307.05657,
    section 3) from one run for each option instead of one for each two, for all pairs of the
    network. They are a Gram matrix, positive semidefinite without a projection.
    """

    name: ClassVar[str] = "output-error+pairs"

    @property
    def facts(self) -> Mapping[str, str]:
        """torch's version and what it makes of this processor; the length of sketches."""
        return {**versions(), "sketch": str(LENGTH)}

    def measure(
        self, study: Study, wanted: Mapping[str, Sequence[Widths]]
    ) -> Iterator[tuple[str, Widths, Vector]]:
        """One contraction after the other, in graph order: the outputs' errors as vectors."""
        return _measured(study, wanted, lambda walk, node, change: walk.errors(node, change))


def _measured(
    study: Study,
    wanted: Mapping[str, Sequence[Widths]],
    look: Callable[[Walk, Node, Change], Sequence[T]],
) -> Iterator[tuple[str, Widths, T]]:
    for stop in stops(study, wanted):
        network, options = stop.walk.network, stop.options
        quantized = Quantized(network, stop.node, stop.site, options, study.threads)
        change = quantized.shifted(mean_shifts(quantized, stop.walk))
        found = look(stop.walk, stop.node, change)
        pairs = zip(options, found, strict=True)
        yield from ((stop.site.name, widths, damage) for widths, damage in pairs)
