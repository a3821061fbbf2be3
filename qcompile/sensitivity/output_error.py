"""The damage as it is: one contraction quantized, all else real, the outputs' error measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from qcompile.ir.widths import Widths
from qcompile.sensitivity.network import one_thread, versions
from qcompile.sensitivity.quantized import Quantized, mean_shifts
from qcompile.sensitivity.study import Study
from qcompile.sensitivity.walk import Walk


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
        left = {name for name, options in wanted.items() if options}
        sites = {site.name: site for site in study.sites}
        with one_thread():
            walk = Walk(study)
            for step in walk.network.steps:
                if not left:
                    return
                node, name = step.node, step.node.name
                if name in left:
                    left.remove(name)
                    change = Quantized(walk.network, node, sites[name], wanted[name], study.threads)
                    found = walk.damages(node, change.shifted(mean_shifts(change, walk)))
                    yield from ((name, w, d) for w, d in zip(wanted[name], found, strict=True))
                walk.advance(step)
