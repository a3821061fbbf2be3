"""Windows as index maps: they meet what the definition meets."""

import numpy as np
import pytest

from qcompile.ir.ops.window import Window
from qcompile.targets.loops.geometry import Axis, conv_axes, met, transposed_axes


def pairs(axis: Axis) -> set[tuple[int, int, int]]:
    """(output, input, kernel) places that meet."""
    if axis.blank:
        return set()
    return {
        (
            axis.out_start + i * axis.out_step,
            axis.in_start + i * axis.in_step + t * axis.tap_step,
            axis.taps[t],
        )
        for i in range(axis.count)
        for t in range(len(axis.taps))
    }


def test_a_convolution_meets_stride_and_dilation():
    window = Window((3,), (2,), (1, 1), (2,))
    (axis,) = conv_axes(window, (4,))
    assert pairs(axis) == {(p, 2 * p + 2 * k - 1, k) for p in range(4) for k in range(3)}
    assert axis.reach(7) == (1, 3)


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "pad"),
    [
        (3, 2, 1, 1), (4, 2, 1, 0), (2, 3, 1, 0), (3, 2, 2, 1), (3, 1, 1, 0), (5, 4, 3, 2),
        (3, 3, 2, 0),
    ],
)  # fmt: skip
def test_the_phases_of_a_transposed_convolution(kernel: int, stride: int, dilation: int, pad: int):
    length = 5
    out = (length - 1) * stride + dilation * (kernel - 1) + 1 - 2 * pad
    window = Window((kernel,), (stride,), (pad, pad), (dilation,))
    found = set[tuple[int, int, int]]()
    for (axis,) in transposed_axes(window, (out,)):
        found |= pairs(axis)
    wanted = {
        (i * stride + k * dilation - pad, i, k)
        for i in range(-50, 50)
        for k in range(kernel)
        if 0 <= i * stride + k * dilation - pad < out
    }
    assert found == wanted


def test_a_phase_without_taps_weighs_nothing():
    window = Window((1,), (2,), (0, 0), (1,))
    blank = [axes for axes in transposed_axes(window, (5,)) if axes[0].blank]
    assert len(blank) == 1
    assert not met(np.ones((2, 2, 1)), blank[0]).any()
