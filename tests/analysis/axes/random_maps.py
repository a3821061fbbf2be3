"""Random maps of each group, and whether a graph keeps its meaning under them."""

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes import (
    Group,
    PermutationSite,
    RotationSite,
    ScalingSite,
    ShiftSite,
    Site,
)
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array, TensorType
from qcompile.passes.transforms import permuted, rotated, scaled, shifted


def random_matrices(site: RotationSite, rng: np.random.Generator) -> NDArray[np.float64]:
    """One matrix of the site's group for each block."""
    shape = (site.count, site.size, site.size)
    match site.group:
        case Group.GENERAL:
            return 2 * np.eye(site.size) + rng.standard_normal(shape) / site.size
        case Group.ORTHOGONAL:
            return np.linalg.qr(rng.standard_normal(shape))[0]
        case _:
            a, b = rng.standard_normal((2, site.count))
            length = np.hypot(a, b) if site.group is Group.TURN else 1.0
            return (np.array([[a, -b], [b, a]]) / length).transpose(2, 0, 1)


def transformed(graph: Graph, site: Site, *, seed: int = 0) -> Graph:
    """The graph with a random map of the site's kind at work."""
    rng = np.random.default_rng(seed)
    match site:
        case RotationSite():
            return rotated(graph, site, random_matrices(site, rng))
        case ScalingSite():
            return scaled(graph, site, np.exp(rng.standard_normal((site.count, site.size))))
        case ShiftSite():
            return shifted(graph, [(site, rng.standard_normal((site.count, site.size)))])
        case PermutationSite():
            rows = [rng.permutation(site.size) for _ in range(site.count)]
            return permuted(graph, site, np.stack(rows))
        case _:
            raise AssertionError(site)


def inputs_of(graph: Graph, *, seed: int = 0) -> tuple[Array, ...]:
    """Seeded values; token numbers are small."""
    rng = np.random.default_rng(seed)
    return tuple(_value(x.type, rng) for x in graph.inputs)


def _value(kind: TensorType, rng: np.random.Generator) -> Array:
    shape = static(kind.shape)
    if kind.elem.is_float:
        return rng.standard_normal(shape).astype(kind.elem.storage)
    return rng.integers(0, 10, shape).astype(kind.elem.storage)


def difference(a: Graph, b: Graph) -> float:
    """The greatest difference of any output, relative to its greatest value."""
    given = inputs_of(a)
    pairs = zip(a.run(*given), b.run(*given), strict=True)
    return max(float(np.abs(x - y).max() / np.abs(x).max()) for x, y in pairs)
