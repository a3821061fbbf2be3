"""Sliding windows as affine index maps, one per spatial axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.ops.window import Window
from qcompile.targets.loops.layout import Layout


@dataclass(frozen=True, slots=True)
class Axis:
    """Output place i lies at out_start + i·out_step, i < count, and meets, for each tap t, the
    input at in_start + i·in_step + t·tap_step with kernel index taps[t].

    `blank`: no tap is met; the one that stands there weighs nothing.
    """

    count: int
    out_start: int
    out_step: int
    in_start: int
    in_step: int
    tap_step: int
    taps: tuple[int, ...]
    blank: bool = False

    def reach(self, length: int) -> tuple[int, int]:
        """How far before 0 and past `length` the input is read."""
        if not self.count:
            return 0, 0
        ends = [
            self.in_start + i * self.in_step + t * self.tap_step
            for i in (0, self.count - 1)
            for t in (0, len(self.taps) - 1)
        ]
        return max(-min(ends), 0), max(max(ends) - length + 1, 0)


@dataclass(frozen=True, slots=True)
class Under:
    """A stored value under sliding windows: where the first tap of the first place lies, and the
    steps from place to place and from tap to tap along each spatial axis, in elements."""

    offset: int
    places: tuple[int, ...]
    taps: tuple[int, ...]


def under(layout: Layout, axes: Sequence[Axis]) -> Under:
    """A value [n, c, *spatial] under the windows of these axes."""
    met = tuple(zip(axes, layout.strides[2:], strict=True))
    return Under(
        offset=layout.offset + sum(a.in_start * s for a, s in met),
        places=tuple(a.in_step * s for a, s in met),
        taps=tuple(a.tap_step * s for a, s in met),
    )


def conv_axes(window: Window, out: tuple[int, ...]) -> tuple[Axis, ...]:
    """The axes of a convolution or pool."""
    return tuple(
        Axis(
            count=out[i],
            out_start=0,
            out_step=1,
            in_start=-window.pads[i],
            in_step=window.stride[i],
            tap_step=window.dilation[i],
            taps=tuple(range(window.kernel[i])),
        )
        for i in range(len(out))
    )


def transposed_axes(window: Window, out: tuple[int, ...]) -> Iterator[tuple[Axis, ...]]:
    """The phases of a transposed convolution: each is a convolution onto a strided grid."""
    phases = [
        [_phase(window, i, out[i], residue) for residue in range(window.stride[i])]
        for i in range(len(out))
    ]
    for axes in product(*phases):
        if all(axis.count for axis in axes):
            yield axes


def met(weights: NDArray[Any], axes: tuple[Axis, ...]) -> NDArray[Any]:
    """The kernel places [outputs, channels, *taps] that the axes meet, in their order."""
    for i, axis in enumerate(axes):
        weights = np.take(weights, axis.taps, axis=2 + i)
    return np.zeros_like(weights) if any(axis.blank for axis in axes) else weights


def _phase(window: Window, i: int, length: int, residue: int) -> Axis:
    """Places p ≡ residue (mod stride): x index (p + pad − dilation·k) / stride, where whole."""
    stride, dilation, pad = window.stride[i], window.dilation[i], window.pads[i]
    taps = tuple(k for k in range(window.kernel[i]) if (residue + pad - dilation * k) % stride == 0)
    places = [(residue + pad - dilation * k) // stride for k in taps]
    step = places[1] - places[0] if len(places) > 1 else 0
    return Axis(
        count=max(0, -(-(length - residue) // stride)),
        out_start=residue,
        out_step=stride,
        in_start=places[0] if places else 0,
        in_step=1 if places else 0,
        tap_step=step,
        taps=taps or (0,),
        blank=not taps,
    )
