"""Steps of groups: the error of formats that are published, and the choice against all others."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.ir.ops.quant import FakeQuant, Spec, to_integers, to_reals
from qcompile.ir.ops.source import Const, const
from qcompile.ir.types import Scalar
from qcompile.ir.unit import Affine
from qcompile.passes.group_units import channel_scales, greatest_step, group_steps
from qcompile.passes.weight_units import weight_unit

Values = NDArray[Any]
I4 = Scalar("i4")


def weights(rows: int = 64, columns: int = 512, *, tail: float = 0.0, seed: int = 0) -> Values:
    """Normal numbers; with `tail` they are Student's t of so many degrees of freedom."""
    rng = np.random.default_rng(seed)
    drawn = rng.standard_t(tail, (rows, columns)) if tail else rng.standard_normal((rows, columns))
    return drawn.astype(np.float32)


def unit_of(w: Const, group: int | None, *, elem: Scalar = I4, axis: int | None = 0) -> Affine:
    spec = Spec(elem, symmetric=True, axis=axis, method="mse", group=group)
    return weight_unit(w, spec, None, None)


def relative_error(w: Values, group: int | None, *, elem: Scalar = I4) -> float:
    held = const(w)
    error = FakeQuant(held, elem, unit_of(held, group, elem=elem)).evaluate(w) - w
    return float(np.square(error).sum() / np.square(w).sum())


@pytest.mark.parametrize(("group", "real_scales"), [(16, 0.00726), (32, 0.00941), (128, 0.01377)])
def test_whole_steps_err_no_more_than_real_scales_to_the_greatest_magnitude(group, real_scales):
    """The bounds are the measured errors of 4-bit groups whose scale is |w| / 7."""
    assert relative_error(weights(), group) < real_scales


@pytest.mark.parametrize("tail", [0.0, 4.0])
def test_smaller_groups_err_less_and_all_less_than_a_channel(tail: float):
    w = weights(tail=tail)
    errors = [relative_error(w, group) for group in (16, 32, 64, 128, None)]
    assert errors == sorted(errors)


def test_a_groups_step_is_the_best_of_all_there_are():
    w = weights(4, 64, tail=4.0).astype(np.float64)
    scales = channel_scales(w, I4, 16)
    chosen = cost(w, scales, np.frombuffer(group_steps(w, scales, I4, 16), np.uint8))
    every = [cost(w, scales, np.full(16, step)) for step in range(1, greatest_step(I4) + 1)]
    np.testing.assert_allclose(chosen, np.min(every, 0))


def cost(w: Values, scales: Values, steps: Values) -> Values:
    """Of every group of 16: squared error, and 16 times its part along the group."""
    blocks = w.reshape(-1, 16)
    wide = (np.repeat(scales, 4) * steps)[:, None]
    error = blocks - wide * np.clip(np.rint(blocks / wide), -8, 7)
    common = np.square((blocks * error).sum(1)) / np.square(blocks).sum(1)
    return np.square(error).sum(1) + 16 * common


@pytest.mark.parametrize(("bits", "step"), [(2, 64), (3, 32), (4, 16), (6, 4), (7, 2)])
def test_the_greatest_step_fills_8_bits(bits: int, step: int):
    assert greatest_step(Scalar(f"i{bits}")) == step


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
def test_every_width_fits_its_integers_in_8_bits(bits: int):
    w = const(weights(8, 100, tail=3.0))
    unit = unit_of(w, 32, elem=Scalar(f"i{bits}"))
    assert len(unit.steps) == 8 * 4
    q = to_integers(w.array, Scalar(f"i{bits}"), unit)
    reals = to_reals(q, unit) / np.array(unit.scale, np.float32)[:, None]
    assert np.abs(reals).max() <= 128 * (1 + 1e-6)


def test_rows_of_zeros_have_steps_of_1():
    w = weights(3, 32)
    w[1] = 0
    unit = unit_of(const(w), 16)
    assert list(unit.steps[2:4]) == [1, 1]
    assert FakeQuant(const(w), I4, unit).evaluate(w)[1].tolist() == [0.0] * 32


def test_a_weight_without_channels_is_one_row():
    unit = unit_of(const(weights(2, 48)), 32, axis=None)
    assert (unit.axis, len(unit.scale), len(unit.steps)) == (None, 1, 3)


def test_groups_of_a_matrix_product_run_down_its_columns():
    w = weights(8, 64)
    across, down = unit_of(const(w), 16), unit_of(const(np.ascontiguousarray(w.T)), 16, axis=1)
    assert (across.scale, across.steps) == (down.scale, down.steps)
