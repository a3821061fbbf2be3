"""Small floats: limits, ties and saturation; every code reads back as itself."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.numerics.formats import (
    BF16,
    F4E2M1,
    F8E4M3,
    F8E5M2,
    F8E8M0,
    FORMATS,
    Format,
    decode,
    encode,
    snap,
)  # fmt: skip


def floats(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)


def test_f4e2m1_has_these_values():
    want = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert decode(np.arange(16), F4E2M1).tolist() == want + [-v for v in want]


def test_f4e2m1_ties_go_to_even():
    ties = floats(0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5)
    assert snap(ties, F4E2M1).tolist() == [0, 1, 1, 2, 2, 4, 4]


LIMITS = [(BF16, 3.3895313892515355e38), (F8E4M3, 448), (F8E5M2, 57344), (F4E2M1, 6)]


@pytest.mark.parametrize(("form", "hi"), LIMITS, ids=["bf16", "f8e4m3", "f8e5m2", "f4e2m1"])
def test_saturates_at_the_greatest_finite_value(form: Format, hi: float):
    far = floats(hi, 3.4e38, np.inf, -hi, -np.inf)
    assert snap(far, form).tolist() == [hi, hi, hi, -hi, -hi]


SMALLEST = [(F8E4M3, 2.0**-9), (F8E5M2, 2.0**-16), (F4E2M1, 0.5)]


@pytest.mark.parametrize(("form", "least"), SMALLEST, ids=["f8e4m3", "f8e5m2", "f4e2m1"])
def test_half_of_the_smallest_value_is_zero(form: Format, least: float):
    assert snap(floats(least, least / 2, least * 0.51), form).tolist() == [least, 0, least]


def test_nan_stays_nan_where_there_is_one():
    assert np.isnan(snap(floats(np.nan), F8E4M3)).all()
    with pytest.raises(ValueError, match="f4e2m1 has no NaN"):
        encode(floats(np.nan), F4E2M1)


def test_f8e8m0_codes_are_exponents():
    assert encode(floats(2.0**-127, 1, 2, 2.0**127), F8E8M0).tolist() == [0, 127, 128, 254]
    assert encode(floats(0, -1), F8E8M0).tolist() == [0, 0]
    assert np.isnan(decode(np.array([255]), F8E8M0)).all()


@pytest.mark.parametrize("name", FORMATS)
def test_every_finite_code_reads_back_as_itself(name: str):
    form = FORMATS[name]
    codes = np.arange(1 << form.bits)
    values = decode(codes, form)
    finite = np.isfinite(values)
    np.testing.assert_array_equal(encode(values[finite], form), codes[finite])


@pytest.mark.parametrize("name", ["bf16", "f8e4m3", "f8e5m2", "f4e2m1"])
@given(x=st.floats(-6, 6, width=32))
def test_no_representable_value_is_nearer(name: str, x: float):
    form = FORMATS[name]
    values = decode(np.arange(1 << form.bits), form)
    nearest = np.abs(values[np.isfinite(values)].astype(np.float64) - x).min()
    assert abs(snap(floats(x), form).item() - x) == nearest


def test_refuses_a_code_that_is_too_wide():
    with pytest.raises(ValueError, match="code 16 does not fit 4 bits"):
        decode(np.array([16]), F4E2M1)
