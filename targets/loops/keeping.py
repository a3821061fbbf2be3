"""Constants of the graph in the weights file, in the kernels' order: where each element is."""

from __future__ import annotations

import numpy as np

from qcompile.program.kept import Kept, Plane
from qcompile.program.places import Places, places_of, summed
from qcompile.targets.loops.draft import Origin, Weights
from qcompile.targets.whole_weights import Whole

LEAST = 256  # bytes of a constant that is worth tables to find it


def kept_weights(weights: Weights, file: str) -> dict[str, Kept]:
    """By digest, every constant that an array of the file holds whole, in its own bits."""
    found: dict[str, Kept] = {}
    for stored, (origin, _) in weights.origins.items():
        kept = kept_array(file, stored.offset, stored.nbytes, origin)
        if kept is not None:
            found.setdefault(origin.const.data.digest, kept)
    return found


def kept_array(file: str, offset: int, nbytes: int, origin: Origin) -> Kept | None:
    """The constant in an array of `nbytes` at `offset`; None where that is not all of it."""
    data = origin.const.data
    bits = origin.bits or 8 * data.dtype.itemsize
    if isinstance(data, Whole) or data.nbytes < LEAST or data.size * bits > 8 * nbytes:
        return None
    places = places_of(data.shape, origin.arrange)
    if places is None or any(int(table.min()) < 0 for table in places):
        return None
    planes = (Plane(offset, bits),)
    signed = data.dtype.kind == "i" and bits < 8
    return Kept(file, planes, signed=signed, places=() if _is_as_written(places) else places)


def _is_as_written(places: tuple[Places, ...]) -> bool:
    """Row-major: each place is the element's number."""
    flat = summed(places).reshape(-1)
    return bool(np.array_equal(flat, np.arange(flat.size)))
