"""Sites as plain data, for tables and for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from qcompile.analysis.axes.laws.law import Group, Port
from qcompile.analysis.axes.laws.shifts_across import normed_input, normed_output
from qcompile.analysis.axes.laws.shifts_linear import shifted_input, shifted_output
from qcompile.analysis.axes.members import Member
from qcompile.analysis.axes.naming import value_names
from qcompile.analysis.axes.sites import OnlineSite, RotationSite, ScalingSite, ShiftSite, Site
from qcompile.analysis.axes.survey import Survey
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul


class Description(TypedDict):
    """One site. `absorbs` are constants as `name[axis] ^ exponent`; `adds` are per vector."""

    kind: str
    site: str
    role: str
    group: str
    size: int
    blocks: list[int]
    absorbs: list[str]
    blocked_by: list[str]
    adds: int


def described(graph: Graph) -> list[Description]:
    """All sites of a graph: free ones, refused ones with the reason, online ones with the price, at
    last where vectors may be taken off and where not.

    Refused are the whole channel axes of weights that no matrix may act on.
    """
    survey, names = Survey(graph), value_names(graph)
    return [
        *(_offline(site, names, "rotation") for site in survey.rotations),
        *(_offline(site, names, "refused") for site in refused(survey)),
        *(_offline(site, names, "scaling") for site in survey.scalings),
        *(_offline(site, names, "permutation") for site in survey.permutations),
        *_online(survey.onlines, names),
        *shifts_described(survey),
    ]


def shifts_described(survey: Survey) -> Iterator[Description]:
    """Where vectors may be taken off, and what contractions read where none may."""
    names = value_names(survey.graph)
    for site in survey.shifts:
        own = _offline(site, names, "shift")
        taken = [f"{names[node]}: {what}" for node, what in _takers(survey.graph, site)]
        yield {**own, "group": "shift", "absorbs": [*own["absorbs"], *taken]}
    for edge in survey.unshifted:
        length = edge.value.type.shape[edge.axis]
        yield {
            "kind": "unshifted",
            "site": edge.name,
            "role": "",
            "group": "none",
            "size": length if isinstance(length, int) else 0,
            "blocks": [],
            "absorbs": [],
            "blocked_by": [str(b) for b in edge.blockers],
            "adds": 0,
        }


def _takers(graph: Graph, site: ShiftSite) -> Iterator[tuple[Node, str]]:
    """Operations whose bias, β or mean changes with the site, in graph order."""
    moved = {Port(m.value, m.axis) for m in site.edges}
    for node in graph.nodes:
        if shifted_output(node) in moved or shifted_input(node) in moved:
            yield node, "bias"
        elif moved.intersection((*normed_output(node), *normed_input(node))):
            yield node, "shift"


def refused(survey: Survey) -> tuple[RotationSite, ...]:
    """The whole channel axes of weights that no matrix may act on, with what blocks each."""
    return tuple(site for site in survey.refused_rotations if _weighs(survey.graph, site))


def _offline(site: Site, names: dict[Node, str], kind: str) -> Description:
    rotation = site if isinstance(site, RotationSite) else None
    group = "positive scale" if isinstance(site, ScalingSite) else "permutation"
    return {
        "kind": kind,
        "site": site.name,
        "role": site.role,
        "group": group if rotation is None else title(rotation.group, site.size),
        "size": site.size,
        "blocks": list(site.blocks),
        "absorbs": [_absorbed(m, names) for m in site.absorbs],
        "blocked_by": [] if rotation is None else [str(b) for b in rotation.blockers],
        "adds": 0,
    }


def _online(sites: tuple[OnlineSite, ...], names: dict[Node, str]) -> Iterator[Description]:
    for site in sites:
        yield {
            "kind": "online",
            "site": site.name,
            "role": site.role,
            "group": title(Group.GENERAL, site.size),
            "size": site.size,
            "blocks": [],
            "absorbs": [names[reader] for reader in site.readers if site.partner is None],
            "blocked_by": [str(b) for b in site.blockers],
            "adds": site.adds if site.partner is None else 2 * site.adds,
        }


def title(group: Group, size: int) -> str:
    """`O(64)`, `GL(64)`, `complex numbers`, `none`."""
    match group:
        case Group.NONE:
            return "none"
        case Group.TURN:
            return "turns of a plane"
        case Group.PAIR:
            return "complex numbers"
        case Group.ORTHOGONAL:
            return f"O({size})"
        case Group.GENERAL:
            return f"GL({size})"


def _absorbed(member: Member, names: dict[Node, str]) -> str:
    return f"{names[member.value]}[{member.axis}] ^ {member.exponent}"


def _weighs(graph: Graph, site: RotationSite) -> bool:
    """True for a whole axis of a contraction's weight."""
    return any(
        m.value.type.shape[m.axis] == site.size
        and any(isinstance(u, MatMul | Conv | ConvTranspose) for u in graph.users[m.value])
        for m in site.absorbs
        if m.value.type.rank >= 2
    )
