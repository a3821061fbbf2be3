"""x → x T at a rotation site: T and its inverse go into the constants around."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.laws.law import Group
from qcompile.analysis.axes.sites import RotationSite
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.passes.transforms.changes import turning
from qcompile.passes.transforms.constants import with_members

Matrices = NDArray[Any]
TOLERANCE = 1e-8
LARGEST_CONDITION = 1e10


def rotated(graph: Graph, site: RotationSite, matrices: Matrices) -> Graph:
    """The same function; each edge of the site becomes x T (x T^-T where its exponent is −1).

    `matrices` is [size, size], or [count, size, size] with one for each block. `UsageError` when
    a matrix is not of the site's group. Paper: QuaRot (arXiv 2404.00456), section 4.
    """
    found = np.asarray(matrices, np.float64)
    if found.shape not in ((site.size, site.size), (site.count, site.size, site.size)):
        raise UsageError(
            f"site {site.name} takes matrices of shape [{site.size}, {site.size}], or "
            f"{site.count} of them, got {list(found.shape)}"
        )
    stack = found.reshape(-1, site.size, site.size)
    _require_group(site, stack)
    return with_members(graph, site, turning(stack))


def _require_group(site: RotationSite, stack: Matrices) -> None:
    """`UsageError` names what keeps a matrix out of the group."""
    if site.group is Group.NONE:
        raise UsageError(f"nothing may act at site {site.name}: {_reasons(site)}")
    if site.group in (Group.ORTHOGONAL, Group.TURN):
        off = np.abs(stack @ stack.swapaxes(1, 2) - np.eye(site.size)).max()
        if not off <= TOLERANCE:
            raise UsageError(
                f"site {site.name} takes orthogonal matrices ({_reasons(site)}); T·Tᵀ differs from "
                f"the identity by {off:.2g}"
            )
    if site.group in (Group.PAIR, Group.TURN):
        _require_pairs(site, stack)
    condition = float(np.linalg.cond(stack).max()) if np.isfinite(stack).all() else np.inf
    if not condition <= LARGEST_CONDITION:
        raise UsageError(f"site {site.name}: a matrix of condition {condition:.2g} has no inverse")


def _require_pairs(site: RotationSite, stack: Matrices) -> None:
    (a, b), (c, d) = stack[:, 0].T, stack[:, 1].T
    off = max(np.abs(a - d).max(), np.abs(b + c).max())
    if off > TOLERANCE:
        raise UsageError(
            f"site {site.name} takes matrices [[a, -b], [b, a]] ({_reasons(site)}), not these, "
            f"off by {off:.2g}"
        )


def _reasons(site: RotationSite) -> str:
    return "; ".join(map(str, site.blockers))
