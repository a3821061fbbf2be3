"""What a contraction reads: the vectors that its rows meet."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.window import Window
from qcompile.ir.types import Array
from qcompile.passes.roles import weight

Values = NDArray[Any]
POSITIONS = 1 << 16  # of all samples together that are looked at


def met(node: Node, x: Array, *, limit: int) -> Values:
    """[places, g, n]: at each place of the output the vector that its rows are multiplied with."""
    match node:
        case Conv():
            out = static(node.window.out(x.shape[2:]))
            padded = node.window.padded(x, 0, out)
            return _windows(padded, node.window, out, node.groups, limit)
        case ConvTranspose():
            out = static(node.out(x.shape[2:]))
            ones, nothing = (1,) * len(out), (0,) * (2 * len(out))
            window = Window(node.window.kernel, ones, nothing, node.dilation)
            return _windows(_stuffed(node, x, out), window, out, node.groups, limit)
        case MatMul():
            found = weight(node)
            rows = x.swapaxes(-1, -2) if found is not None and found[1] < 0 else x
            rows = rows.reshape(-1, 1, rows.shape[-1])
            return rows[spread(len(rows), limit)]
        case _:
            raise AssertionError(f"{node} is no contraction")


def spread(count: int, limit: int) -> NDArray[np.int64]:
    """At most `limit` of `count` places in order: one from each of as many equal stretches.

    Where in its stretch is drawn from a fixed seed, so that no stride of the layer is met in step.
    """
    if count <= limit:
        return np.arange(count)
    ends = np.arange(limit + 1) * count // limit
    return np.random.default_rng(0).integers(ends[:-1], ends[1:])


def _windows(
    padded: Array, window: Window, out: tuple[int, ...], groups: int, limit: int
) -> Values:
    """The windows at some places: their channels by groups, channels before taps."""
    view = np.moveaxis(window.patches(padded, out), 1, 1 + len(out))
    places = (len(padded), *out)
    picked = np.unravel_index(spread(prod(places), limit), places)
    return view[picked].reshape(len(picked[0]), groups, -1)


def _stuffed(node: ConvTranspose, x: Array, out: tuple[int, ...]) -> Values:
    """x with zeros between and around, so that the flipped kernel slides over it step by step."""
    window = node.window
    room = [length + span - 1 for length, span in zip(out, window.span, strict=True)]
    wide = np.zeros((*x.shape[:2], *room), x.dtype)
    target, source = [slice(None)] * 2, [slice(None)] * 2
    for i, length in enumerate(x.shape[2:]):
        first, step = window.span[i] - 1 - window.pads[i], window.stride[i]
        skipped = max(-(first // step), 0) if first < 0 else 0
        kept = min(length, (room[i] - 1 - first) // step + 1)
        source.append(slice(skipped, kept))
        target.append(slice(first + skipped * step, first + (kept - 1) * step + 1, step))
    wide[tuple(target)] = x[tuple(source)]
    return wide
