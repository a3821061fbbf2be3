"""layer_norm → rms_norm, where every constant that writes its operand can be centred instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.laws.law import Group
from qcompile.analysis.axes.laws.norm import MEAN
from qcompile.analysis.axes.members import Indices, Member
from qcompile.analysis.axes.sites import RotationSite
from qcompile.analysis.axes.survey import Survey
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.norm import LayerNorm, RmsNorm
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.transforms.constants import changed


@dataclass(frozen=True)
class CenterNorms(Pass):
    """Takes the mean out of all that writes a stream; its layer norms need not subtract it then.

    A layer norm does not see a number that is added to all of its indices, so where nothing else
    reads the stream but layer norms, each constant w that writes it may become w − mean(w). Then
    var(x) is mean(x²), with the same epsilon. Left alone where a rotation would be stopped behind
    the norm anyway. Paper: SliceGPT (arXiv 2401.15024), section 3.1.
    """

    name: ClassVar[str] = "center-norms"
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    def run(self, graph: Graph) -> Graph:
        """All streams at once."""
        refused = Survey(graph).refused_rotations
        scalable = _scalable(refused)
        found = [
            (site, norms)
            for site in refused
            if scalable.issuperset(norms := _centred_norms(graph, site)) and norms
        ]
        new = changed([(m, _without_mean) for site, _ in found for m in site.absorbs])
        norms = {norm for _, own in found for norm in own}

        def rule(node: Node, at: Site) -> Node | None:
            if isinstance(node, Const):
                return new.get(node)
            if isinstance(node, LayerNorm) and at.was(node) in norms:
                return _without_centring(node)
            return None

        return rewrite(graph, rule)


def _scalable(sites: Iterable[RotationSite]) -> frozenset[Node]:
    """The norms whose own parameters are all that blocks what reads them: centring will help."""
    alone = (
        site
        for site in sites
        if len({b.node for b in site.blockers}) == 1 and site.within is Group.GENERAL
    )
    return frozenset(site.blockers[0].node for site in alone if _gives(site))


def _gives(site: RotationSite) -> bool:
    return any(edge.value is site.blockers[0].node for edge in site.edges)


def _centred_norms(graph: Graph, site: RotationSite) -> tuple[LayerNorm, ...]:
    """The layer norms of a stream that only they read and only constants write; else none."""
    bounded = {b.why for b in site.blockers} == {MEAN} and site.within is Group.GENERAL
    if not bounded or any(m.exponent < 0 or not _whole(m) for m in site.members):
        return ()
    norms = tuple(dict.fromkeys(_readers(graph, site)))
    return norms if all(n.axis == n.type.rank - 1 for n in norms) else ()


def _readers(graph: Graph, site: RotationSite) -> Iterator[LayerNorm]:
    for edge in site.edges:
        for user in graph.users[edge.value]:
            if isinstance(user, LayerNorm) and user.x is edge.value and edge.axis >= user.axis:
                yield user


def _whole(member: Member) -> bool:
    return member.value.type.shape[member.axis] == member.size


def _without_mean(member: Member, rows: NDArray[Any], ids: Indices) -> NDArray[Any]:
    return rows - rows.mean(1, keepdims=True, dtype=np.float64)


def _without_centring(node: LayerNorm) -> Node:
    norm = RmsNorm(node.x, node.gamma, node.axis, node.eps, name=node.name)
    if node.beta is None:
        return norm
    return Add(norm.replace(name=f"{node.name}.scaled"), node.beta, name=node.name)
