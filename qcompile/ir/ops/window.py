"""Geometry of sliding windows, shared by convolutions and pools (1-D, 2-D, 3-D)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from qcompile.ir.dims import Dim
from qcompile.ir.types import Array


@dataclass(frozen=True, slots=True)
class Window:
    """A kernel's extent, stride, dilation and padding (all begins, then all ends) per axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pads: tuple[int, ...]
    dilation: tuple[int, ...]

    def __post_init__(self) -> None:
        n = len(self.kernel)
        if not len(self.stride) == len(self.dilation) == n or len(self.pads) != 2 * n:
            raise ValueError(
                f"kernel {self.kernel} needs {n} strides and dilations and {2 * n} pads, got "
                f"{self.stride}, {self.dilation}, {self.pads}"
            )
        if min((*self.kernel, *self.stride, *self.dilation), default=1) < 1:
            raise ValueError("kernel, stride and dilation must be at least 1")

    @property
    def span(self) -> tuple[int, ...]:
        """The extent of the dilated kernel."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def out(self, spatial: tuple[Dim, ...], *, ceil: bool = False) -> tuple[Dim, ...]:
        """Output lengths; with `ceil` a last window may overhang but must start inside."""
        n = len(self.kernel)
        if len(spatial) != n:
            raise ValueError(f"a {n}-D window on {len(spatial)} spatial axes")
        result: list[Dim] = []
        for i, length in enumerate(spatial):
            room = length + (self.pads[i] + self.pads[n + i] - self.span[i])
            if isinstance(room, int) and room < 0:
                raise ValueError(f"window of {self.span[i]} does not fit into length {length}")
            steps = (room + (self.stride[i] - 1 if ceil else 0)) // self.stride[i] + 1
            if ceil and isinstance(steps, int) and isinstance(length, int):
                steps -= (steps - 1) * self.stride[i] >= length + self.pads[i]
            result.append(steps)
        return tuple(result)

    def padded(self, x: Array, value: object, out: tuple[int, ...]) -> Array:
        """x with its border, long enough for `out` windows on each axis."""
        n = len(self.kernel)
        widths = [(0, 0)] * (x.ndim - n)
        for i, count in enumerate(out):
            need = (count - 1) * self.stride[i] + self.span[i]
            after = max(need - x.shape[x.ndim - n + i] - self.pads[i], 0)
            widths.append((self.pads[i], after))
        if not any(a or b for a, b in widths):
            return x
        return np.pad(x, widths, constant_values=value)  # type: ignore[call-overload]

    def taps(self, padded: Array, out: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Array]]:
        """For each kernel offset the strided view of the input it meets: [..., *out]."""
        for offset in product(*(range(k) for k in self.kernel)):
            starts = [o * d for o, d in zip(offset, self.dilation, strict=True)]
            index = tuple(
                slice(s, s + (count - 1) * t + 1, t)
                for s, count, t in zip(starts, out, self.stride, strict=True)
            )
            yield offset, padded[(..., *index)]

    def patches(self, padded: Array, out: tuple[int, ...]) -> Array:
        """A view [..., *out, *kernel] of all windows."""
        n = len(self.kernel)
        axes = tuple(range(padded.ndim - n, padded.ndim))
        view = sliding_window_view(padded, self.span, axis=axes)  # type: ignore[call-overload]
        place = tuple(slice(0, (c - 1) * t + 1, t) for c, t in zip(out, self.stride, strict=True))
        inside = tuple(slice(None, None, d) for d in self.dilation)
        return view[(..., *place, *inside)]
