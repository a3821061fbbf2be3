"""norm(x) · γ → norm(x), γ in the weights that read it, wherever all readers are linear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.laws.law import Group
from qcompile.analysis.axes.laws.norm import UNFOLDED, uniform
from qcompile.analysis.axes.members import Indices, Member
from qcompile.analysis.axes.sites import RotationSite
from qcompile.analysis.axes.survey import Survey
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.norm import RmsNorm
from qcompile.ir.ops.source import Const, const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.transforms.constants import Change, changed

Values = NDArray[Any]


@dataclass(frozen=True)
class FoldNormScales(Pass):
    """A norm's scale becomes ones, which every rotation passes and a later smoothing may fill.

    The readers are found by the analysis of axes, whatever moves lie between; a norm with a reader
    that is not linear keeps its scale. Paper: QuaRot (arXiv 2404.00456), section 4, stage 1a.
    """

    name: ClassVar[str] = "fold-norm-scales"
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    def run(self, graph: Graph) -> Graph:
        """All norms at once."""
        sites = Survey(graph).refused_rotations
        found = [(site, norm) for site in sites for norm in _foldable(site)]
        new = changed([(m, _by(norm)) for site, norm in found for m in site.absorbs])
        norms = {norm for _, norm in found}

        def fold(node: Node, at: Site) -> Node | None:
            if isinstance(node, Const):
                return new.get(node)
            old = at.was(node)
            return _plain(node) if isinstance(node, RmsNorm) and old in norms else None

        return rewrite(graph, fold)


def _plain(norm: RmsNorm) -> RmsNorm:
    assert isinstance(norm.scale, Const)
    ones = np.ones(norm.scale.data.shape, norm.scale.data.dtype)
    return norm.replace(scale=const(ones, name=norm.scale.name))


def _foldable(site: RotationSite) -> Iterator[RmsNorm]:
    """The norm whose scale is all that keeps a class from being general linear."""
    reasons = {(b.node, b.why) for b in site.blockers}
    if len(reasons) != 1 or site.blockers[0].why != UNFOLDED or site.within is not Group.GENERAL:
        return
    norm = site.blockers[0].node
    if not isinstance(norm, RmsNorm) or not isinstance(norm.scale, Const):
        return
    divided = any(m.exponent > 0 for m in site.absorbs)
    if norm.scale.type.shape != (site.size,) or (divided and not norm.scale.array.all()):
        return
    if any(m.value is norm for m in site.edges) and not uniform(norm.scale):
        yield norm


def _by(norm: RmsNorm) -> Change:
    assert isinstance(norm.scale, Const)
    scale = np.asarray(norm.scale.array, np.float64)

    def change(member: Member, rows: Values, ids: Indices) -> Values:
        return rows / scale if member.exponent > 0 else rows * scale

    return change
