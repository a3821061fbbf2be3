"""Borders, resampling, and channels traded for places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qcompile.frontends.aten_call import Call, Family, length, lengths, permute, reshape, swap
from qcompile.ir.node import Node
from qcompile.ir.ops.resize import ResizeLinear, ResizeNearest
from qcompile.ir.ops.shape import Pad

Factors = Sequence[float | None]


def _padded(
    x: Node, pad: Sequence[int], *, mode: str = "constant", value: float | None = None
) -> Node:
    """Torch names pads from the last axis on: before, after, before, after …"""
    rank = x.type.rank
    before, after = [0] * rank, [0] * rank
    for i in range(len(pad) // 2):
        before[rank - 1 - i], after[rank - 1 - i] = pad[2 * i], pad[2 * i + 1]
    if not any(pad):
        return x
    return Pad(x, (*before, *after), mode, 0.0 if value is None else float(value))


def _constant_pad(call: Call, x: Node, pad: Sequence[int], value: float = 0) -> Node:
    return _padded(x, pad, value=value)


def _reflection_pad(call: Call, x: Node, pad: Sequence[int]) -> Node:
    return _padded(x, pad, mode="reflect")


def _replication_pad(call: Call, x: Node, pad: Sequence[int]) -> Node:
    return _padded(x, pad, mode="edge")


def _any_pad(
    call: Call, x: Node, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Node:
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return _padded(x, pad, mode=modes[mode], value=value)


def _pixel_shuffle(call: Call, x: Node, factor: int) -> Node:
    *lead, _, height, width = x.type.shape
    n, channels = len(lead), call.shape[len(lead)]
    split = reshape(x, (*lead, channels, factor, factor, height, width))
    perm = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return reshape(permute(split, perm), call.shape)


def _pixel_unshuffle(call: Call, x: Node, factor: int) -> Node:
    *lead, channels, _, _ = x.type.shape
    n = len(lead)
    height, width = call.shape[-2:]
    split = reshape(x, (*lead, channels, height, factor, width, factor))
    perm = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return reshape(permute(split, perm), call.shape)


def _channel_shuffle(call: Call, x: Node, groups: int) -> Node:
    n, channels, *rest = x.type.shape
    split = reshape(x, (n, groups, channels // groups, *rest))
    return reshape(swap(split, 1, 2), call.shape)


def _nearest_vec(call: Call, x: Node, size: object, factors: Sequence[float] | None = None) -> Node:
    return _nearest(call, x, factors or (), shift=0.0)


def _nearest_default(call: Call, x: Node, size: object, *factors: float | None) -> Node:
    return _nearest(call, x, factors, shift=0.0)


def _nearest_exact_vec(
    call: Call, x: Node, size: object, factors: Sequence[float] | None = None
) -> Node:
    return _nearest(call, x, factors or (), shift=0.5)


def _nearest_exact_default(call: Call, x: Node, size: object, *factors: float | None) -> Node:
    return _nearest(call, x, factors, shift=0.5)


def _linear_vec(
    call: Call, x: Node, size: object, corners: bool, factors: Sequence[float] | None = None
) -> Node:
    return _linear(call, x, factors or (), corners=corners)


def _linear_default(
    call: Call, x: Node, size: object, corners: bool, *factors: float | None
) -> Node:
    return _linear(call, x, factors, corners=corners)


def _nearest(call: Call, x: Node, factors: Factors, *, shift: float) -> Node:
    """result[p] = x[min(⌊(p + shift) · ratio⌋, length − 1)], in f32 as torch computes it."""
    indices: list[tuple[int, ...]] = []
    for total, out, ratio in _axes(call, x, factors):
        places = np.floor((np.arange(out, dtype=np.float32) + np.float32(shift)) * ratio)
        indices.append(tuple(int(i) for i in np.minimum(places, total - 1)))
    return ResizeNearest(x, tuple(indices))


def _linear(call: Call, x: Node, factors: Factors, *, corners: bool) -> Node:
    low: list[tuple[int, ...]] = []
    frac: list[tuple[float, ...]] = []
    for total, out, ratio in _axes(call, x, factors):
        places = _corners(total, out) if corners else _centres(out, ratio)
        floor = np.minimum(np.floor(places), total - 1)
        low.append(tuple(int(i) for i in floor))
        frac.append(tuple(float(f) for f in np.minimum(places - floor, 1)))
    return ResizeLinear(x, tuple(low), tuple(frac))


def _corners(total: int, out: int) -> NDArray[np.float32]:
    """First on first, last on last."""
    ratio = np.float32((total - 1) / (out - 1) if out > 1 else 0)
    return np.arange(out, dtype=np.float32) * ratio


def _centres(out: int, ratio: np.float32) -> NDArray[np.float32]:
    """Middles of elements meet; nothing lies before the first middle."""
    half = np.float32(0.5)
    return np.maximum((np.arange(out, dtype=np.float32) + half) * ratio - half, np.float32(0))


def _axes(call: Call, x: Node, factors: Factors) -> list[tuple[int, int, np.float32]]:
    """Length before, length after and their ratio for each spatial axis."""
    found: list[tuple[int, int, np.float32]] = []
    for i, out in enumerate(lengths(call.shape[2:])):
        total = length(x, 2 + i)
        factor = factors[i] if i < len(factors) else None
        found.append((total, out, np.float32(1 / factor if factor else total / out)))
    return found


SPATIAL: Family = {
    "pad": _any_pad,
    "constant_pad_nd": _constant_pad,
    "reflection_pad1d": _reflection_pad,
    "reflection_pad2d": _reflection_pad,
    "reflection_pad3d": _reflection_pad,
    "replication_pad1d": _replication_pad,
    "replication_pad2d": _replication_pad,
    "replication_pad3d": _replication_pad,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "channel_shuffle": _channel_shuffle,
    "native_channel_shuffle": _channel_shuffle,
    "upsample_nearest1d.vec": _nearest_vec,
    "upsample_nearest1d": _nearest_default,
    "_upsample_nearest_exact1d.vec": _nearest_exact_vec,
    "_upsample_nearest_exact1d": _nearest_exact_default,
    "upsample_nearest2d.vec": _nearest_vec,
    "upsample_nearest2d": _nearest_default,
    "_upsample_nearest_exact2d.vec": _nearest_exact_vec,
    "_upsample_nearest_exact2d": _nearest_exact_default,
    "upsample_nearest3d.vec": _nearest_vec,
    "upsample_nearest3d": _nearest_default,
    "_upsample_nearest_exact3d.vec": _nearest_exact_vec,
    "_upsample_nearest_exact3d": _nearest_exact_default,
    "upsample_linear1d.vec": _linear_vec,
    "upsample_linear1d": _linear_default,
    "upsample_bilinear2d.vec": _linear_vec,
    "upsample_bilinear2d": _linear_default,
    "upsample_trilinear3d.vec": _linear_vec,
    "upsample_trilinear3d": _linear_default,
}
