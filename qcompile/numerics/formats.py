"""Small float formats: real numbers to codes and back.

Encoding takes the number to float32, clamps to the greatest finite value and then rounds to the
nearest, ties to even, so no number becomes an infinity (OCP formats; the clamp is ours). A code is
the format's bits in the low end of an unsigned integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its numpy dtype, its bits, and its least and greatest finite values."""

    name: str
    dtype: np.dtype[Any]
    bits: int
    lo: float
    hi: float

    @property
    def code_dtype(self) -> np.dtype[Any]:
        """The unsigned integer that carries a code."""
        return np.dtype(f"uint{8 * self.dtype.itemsize}")


def _format(name: str, kind: Any, bits: int) -> Format:
    info = ml_dtypes.finfo(kind)  # pyright: ignore[reportUnknownVariableType]  has no stubs
    lo, hi = float(info.min), float(info.max)  # pyright: ignore  the same
    return Format(name, np.dtype(kind), bits, lo, hi)


BF16 = _format("bf16", ml_dtypes.bfloat16, 16)
F8E4M3 = _format("f8e4m3", ml_dtypes.float8_e4m3fn, 8)
F8E5M2 = _format("f8e5m2", ml_dtypes.float8_e5m2, 8)
F8E8M0 = _format("f8e8m0", ml_dtypes.float8_e8m0fnu, 8)
F4E2M1 = _format("f4e2m1", ml_dtypes.float4_e2m1fn, 4)

FORMATS: dict[str, Format] = {f.name: f for f in (BF16, F8E4M3, F8E5M2, F8E8M0, F4E2M1)}


def encode(x: Values, form: Format) -> Values:
    """Codes of the nearest representable values, saturated.

    NaN stays NaN where the format has one (`ValueError` for f4e2m1); what f8e8m0 cannot hold below
    (zero, negatives) becomes its least value 2^−127.
    """
    if form is F4E2M1 and np.isnan(x).any():
        raise ValueError("f4e2m1 has no NaN")
    return np.clip(x.astype(np.float32), form.lo, form.hi).astype(form.dtype).view(form.code_dtype)


def decode(codes: Values, form: Format) -> NDArray[np.float32]:
    """The values of codes, exact in float32; `ValueError` for a code that is too wide."""
    if codes.size and int(codes.max()) >> form.bits:
        raise ValueError(f"code {int(codes.max())} does not fit {form.bits} bits")
    return codes.astype(form.code_dtype).view(form.dtype).astype(np.float32)


def snap(x: Values, form: Format) -> NDArray[np.float32]:
    """The nearest representable values, saturated: decode(encode(x))."""
    return decode(encode(x, form), form)
