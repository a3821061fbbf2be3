"""explain --pass rotate, smooth, rotate-online: the sites that analysis finds, and what blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qcompile.analysis.axes.described import described
from qcompile.cli.show import table
from qcompile.ir.graph import Graph
from qcompile.passes.expose_sites import ExposeSites
from qcompile.passes.open_gates import OpenGates

KINDS: Mapping[str, tuple[str, ...]] = {
    "rotate": ("rotation", "refused"),
    "rotate-online": ("online",),
    "smooth": ("scaling",),
}
"""The passes that act at sites, and the kinds of sites that they look at."""

SHOWN = 4  # constants of a site


def explained_sites(graph: Graph, name: str) -> dict[str, Any]:
    """The sites of a simplified graph for one of `KINDS`, as its recipe would find them."""
    exposed = ExposeSites().run(graph)
    found = described(OpenGates().run(exposed) if name == "smooth" else exposed)
    return {"pass": name, "sites": [site for site in found if site["kind"] in KINDS[name]]}


def print_sites(found: Mapping[str, Any]) -> None:
    """A row for each site; why one is refused stands below."""
    print(f"{found['pass']}: {len(found['sites'])} sites")
    heads = ("site", "role", "may act", "size", "goes into", "additions")
    table(heads, [_row(site) for site in found["sites"]])
    for site in found["sites"]:
        if site["kind"] == "refused":
            print(f"{site['site']} is refused: {'; '.join(site['blocked_by'])}")


def _row(site: Mapping[str, Any]) -> tuple[str, ...]:
    named, more = site["absorbs"][:SHOWN], len(site["absorbs"]) - SHOWN
    constants = ", ".join(named) + (f" and {more} more" if more > 0 else "")
    size = " x ".join(str(length) for length in (*site["blocks"], site["size"]))
    return site["site"], site["role"], site["group"], size, constants, str(site["adds"] or "-")
