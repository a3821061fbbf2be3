"""v → v · s^exponent at a scaling site: all of it goes into constants."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.sites import ScalingSite
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.passes.transforms.changes import scaling
from qcompile.passes.transforms.constants import with_members

Values = NDArray[Any]


def scaled(graph: Graph, site: ScalingSite, s: Values) -> Graph:
    """The same function; the site's lead edge is divided by s, what reads it is multiplied.

    `s` is [size], or [count, size] with one row for each block. `UsageError` unless all are
    positive and finite. Paper: SmoothQuant (arXiv 2211.10438), equation 3.
    """
    found = np.asarray(s, np.float64)
    if found.shape not in ((site.size,), (site.count, site.size)):
        raise UsageError(
            f"site {site.name} takes {site.size} scales, or [{site.count}, {site.size}], got "
            f"{list(found.shape)}"
        )
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise UsageError(f"site {site.name} takes positive finite scales, got {found.min():.3g}")
    return with_members(graph, site, scaling(found.reshape(-1, site.size)))
