"""explain --pass rotate, smooth, rotate-online: the sites that analysis finds, and what blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qcompile.analysis.axes.described import Description, described, shifts_described
from qcompile.analysis.axes.survey import Survey
from qcompile.cli.show import table
from qcompile.ir.graph import Graph
from qcompile.numerics.hadamard import block_size, construction
from qcompile.passes.expose_sites import ExposeSites
from qcompile.passes.hoist_slices import HoistSlices
from qcompile.passes.open_clips import OpenClips
from qcompile.passes.open_gates import OpenGates

KINDS: Mapping[str, tuple[str, ...]] = {
    "rotate": ("rotation", "refused"),
    "rotate-online": ("online",),
    "smooth": ("scaling", "shift", "unshifted"),
}
"""The passes that act at sites, and the kinds of sites that they look at."""

SHOWN = 4  # constants of a site
TURNED = frozenset({"rotation", "online"})


def explained_sites(graph: Graph, name: str) -> dict[str, Any]:
    """The sites of a simplified graph for one of `KINDS`, as its recipe would find them."""
    found = _for_scales(graph) if name == "smooth" else described(ExposeSites().run(graph))
    chosen = [{**site, "matrix": _matrix(site)} for site in found if site["kind"] in KINDS[name]]
    return {"pass": name, "sites": chosen}


def _for_scales(graph: Graph) -> list[Description]:
    """Scales with norms folded; shifts before that, while norms have shifts of their own."""
    exposed = OpenClips().run(OpenGates().run(ExposeSites().run(graph)))
    scales = [site for site in described(exposed) if site["kind"] == "scaling"]
    return [*scales, *shifts_described(Survey(HoistSlices().run(graph)))]


def _matrix(site: Description) -> str:
    """How the largest Hadamard matrix that fits is made; nothing where none may act."""
    if site["kind"] not in TURNED or not site["group"].startswith(("O(", "GL(")):
        return ""
    order = block_size(site["size"])
    blocks = "" if order == site["size"] else f"{site['size'] // order} blocks: "
    return f"{blocks}{construction(order)}" if order > 1 else "none"


def print_sites(found: Mapping[str, Any]) -> None:
    """A row for each site; why one is refused stands below."""
    print(f"{found['pass']}: {len(found['sites'])} sites")
    heads = ("site", "role", "may act", "size", "goes into", "additions", "hadamard")
    table(heads, [_row(site) for site in found["sites"] if site["kind"] != "unshifted"])
    for site in found["sites"]:
        if site["kind"] == "refused":
            print(f"{site['site']} is refused: {'; '.join(site['blocked_by'])}")
        if site["kind"] == "unshifted":
            print(f"{site['site']} takes no shift: {'; '.join(site['blocked_by'])}")


def _row(site: Mapping[str, Any]) -> tuple[str, ...]:
    named, more = site["absorbs"][:SHOWN], len(site["absorbs"]) - SHOWN
    constants = ", ".join(named) + (f" and {more} more" if more > 0 else "")
    size = " x ".join(str(length) for length in (*site["blocks"], site["size"]))
    return (
        site["site"],
        site["role"],
        site["group"],
        size,
        constants,
        str(site["adds"] or "-"),
        site["matrix"],
    )
