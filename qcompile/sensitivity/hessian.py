"""Damages from second derivatives: of the weights' error by its norm, or element by element.

That compiling takes mean errors out of the bias is not seen here: damages come out too great, most
where a mean over positions follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qcompile.ir.widths import Widths
from qcompile.sensitivity.gradients import DRAWS, curvatures
from qcompile.sensitivity.network import one_thread, versions
from qcompile.sensitivity.study import Study
from qcompile.sensitivity.torch_ops import Tensor, tensor


@dataclass(frozen=True)
class HessianTrace:
    """Mean of the Hessian's diagonal · ‖Q(W) − W‖², as HAWQ-V2 and V3 have it (arXiv 2011.10680);
    the loss is the damage at the outputs. Inputs count by their own curvature."""

    name: ClassVar[str] = "hessian-trace"

    @property
    def facts(self) -> Mapping[str, str]:
        """Versions and the number of draws."""
        return {**versions(), "draws": str(DRAWS)}

    def measure(
        self, study: Study, wanted: Mapping[str, Sequence[Widths]]
    ) -> Iterator[tuple[str, Widths, float]]:
        """All contractions after one run over the samples."""
        return _measured(study, wanted, lambda diagonal, e: float(diagonal.mean() * (e * e).sum()))


@dataclass(frozen=True)
class HessianDiagonal:
    """Σ diagonal · (Q(W) − W)²: as the trace, but each weight has its own derivative."""

    name: ClassVar[str] = "hessian-diagonal"

    @property
    def facts(self) -> Mapping[str, str]:
        """Versions and the number of draws."""
        return {**versions(), "draws": str(DRAWS)}

    def measure(
        self, study: Study, wanted: Mapping[str, Sequence[Widths]]
    ) -> Iterator[tuple[str, Widths, float]]:
        """All contractions after one run over the samples."""
        return _measured(study, wanted, lambda diagonal, e: float((diagonal * e * e).sum()))


def _measured(
    study: Study,
    wanted: Mapping[str, Sequence[Widths]],
    weigh: Callable[[Tensor, Tensor], float],
) -> Iterator[tuple[str, Widths, float]]:
    sites = [site for site in study.sites if wanted.get(site.name)]
    with one_thread():
        found = curvatures(study, sites)
        for site in sites:
            curvature = found[site.name]
            for widths in wanted[site.name]:
                rounded = site.weights(widths.weight).astype(np.float64)
                error = tensor(rounded - site.weight.array)
                by_weight = weigh(curvature.weight, error)
                yield site.name, widths, by_weight + curvature.inputs[widths.activation]
