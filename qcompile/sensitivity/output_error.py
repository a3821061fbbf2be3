"""The damage as it is: one contraction quantized, all else real, the outputs' error measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from qcompile.ir.widths import Widths
from qcompile.sensitivity.network import versions
from qcompile.sensitivity.quantized import Quantized, mean_shifts
from qcompile.sensitivity.study import Study
from qcompile.sensitivity.walk import stops


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
        for stop in stops(study, wanted):
            network, options = stop.walk.network, stop.options
            change = Quantized(network, stop.node, stop.site, options, study.threads)
            shifts = mean_shifts(change, stop.walk)
            found = stop.walk.damages(stop.node, change.shifted(shifts))
            pairs = zip(options, found, strict=True)
            yield from ((stop.site.name, widths, damage) for widths, damage in pairs)
