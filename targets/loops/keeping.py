"""Constants of the graph in the weights file, in the kernels' order: where each element is."""

from __future__ import annotations

from qcompile.program.kept import Kept, Plane
from qcompile.program.places import as_it_is, places_of
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
    if origin.arrange is as_it_is:
        return Kept(file, (Plane(offset, bits),))
    places = places_of(data.shape, origin.arrange)
    if places is None or any(int(table.min()) < 0 for table in places):
        return None
    signed = data.dtype.kind == "i" and bits < 8
    return Kept(file, (Plane(offset, bits),), signed=signed, places=places)
