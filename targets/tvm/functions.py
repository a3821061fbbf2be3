"""exp, log, tanh and erf of a whole register, within 2 units in the last place.

The compiler's own functions are calls, lane by lane. Here ranges are reduced as in Cody and Waite,
Software Manual for the Elementary Functions (1980); the polynomials were fitted for the least
greatest error (Lawson's reweighted least squares), below 3e-8 of the value. Products and sums may
be fused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qcompile.targets.tvm.script import T, Tir, equal

LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4  # few bits in the first: its products are exact
ROUNDER = 12582912.0  # 1.5 · 2^23: what is added to it is rounded to a whole number
ROUNDER_BITS = 0x4B400000
ROOT_HALF_BITS = 0x3F3504F3  # of √½
LEAST_NORMAL = 2.0**-126
EXP = (0.49999994, 0.1666652, 0.041668404, 0.008368899, 0.0013814222)  # (e^r − 1 − r) / r²
LOG = (0.666667761, 0.399775743, 0.29870931)  # (log m − 2s) / s³ in s², s = (m − 1) / (m + 1)
TANH_NEAR = 0.55  # below: x + x³ · TANH(x²)
TANH = (-0.333333176, 0.133325861, -0.0538523103, 0.0210716807, -0.00627424168)
ERF_NEAR, ERF_MIDDLE, ERF_END = 1.25, 2.585, 3.92  # below the first: x + x · ERF(x²)
ERF = (
    0.128379145, -0.376124802, 0.112821945, -0.026804927, 0.00511000642, -0.000742614822,
    6.20254894e-05,
)  # fmt: skip
ERF_REST = (  # 1 − erf, in x − ERF_MIDDLE
    0.000256435037, -0.00141364575, 0.00365498629, -0.00583040865, 0.00631171694, -0.00476428906,
    0.00243973921, -0.000692474992, -0.000101227991, 0.000216161413, -7.40317309e-05,
    -1.1092729e-05, 8.50964404e-06,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Register:
    """Functions on registers of `lanes` reals; one lane is a plain number."""

    lanes: int

    def exp(self, x: Tir) -> Tir:
        """e^x; what is too small is 0 (or denormal), what is too great is ∞."""
        held = T.min(self._real(89.0), T.max(self._real(-104.0), x))
        shifted = T.Bind(held * self._real(LOG2_E) + self._real(ROUNDER))
        whole = T.Bind(shifted - self._real(ROUNDER))
        power = T.Bind(self._bits(shifted) - self._integer(ROUNDER_BITS))
        high = held - whole * self._real(LN2_HIGH)
        rest = T.Bind(high - whole * self._real(LN2_LOW))
        value = self._real(1.0) + (rest + rest * rest * self._polynomial(EXP, rest))
        half = T.Bind(T.shift_right(power, self._integer(1)))
        return value * self._power_of_two(half) * self._power_of_two(power - half)

    def log(self, x: Tir) -> Tir:
        """The natural logarithm: −∞ of 0, NaN below."""
        tiny = x < self._real(LEAST_NORMAL)
        bits = T.Bind(self._bits(T.Select(tiny, x * self._real(2.0**23), x)))
        power = T.Bind(T.shift_right(bits - self._integer(ROOT_HALF_BITS), self._integer(23)))
        m = T.Bind(self._reals(bits - T.shift_left(power, self._integer(23))))
        s = T.Bind((m - self._real(1.0)) / (m + self._real(1.0)))
        less = T.Select(tiny, self._real(23.0), self._real(0.0))
        e = T.Bind(T.cast(power, self._kind("float32")) - less)
        square = T.Bind(s * s)
        small = s * square * self._polynomial(LOG, square) + e * self._real(LN2_LOW)
        value = e * self._real(LN2_HIGH) + (s * self._real(2.0) + small)
        value = T.Select(x < self._real(math.inf), value, x)  # ∞ and NaN
        value = T.Select(equal(x, self._real(0.0)), self._real(-math.inf), value)
        return T.Select(x < self._real(0.0), self._real(math.nan), value)

    def tanh(self, x: Tir) -> Tir:
        """The hyperbolic tangent."""
        size, square = T.Bind(T.abs(x)), T.Bind(x * x)
        near = x + x * square * self._polynomial(TANH, square)
        one, two = self._real(1.0), self._real(2.0)
        far = one - two / (self.exp(size * two) + one)
        return T.Select(size < self._real(TANH_NEAR), near, self._signed(far, x))

    def erf(self, x: Tir) -> Tir:
        """2/√π · ∫ e^−t² from 0 to x."""
        size, square = T.Bind(T.abs(x)), T.Bind(x * x)
        near = x + x * self._polynomial(ERF, square)
        rest = self._polynomial(ERF_REST, T.Bind(size - self._real(ERF_MIDDLE)))
        one = self._real(1.0)
        far = T.Select(size >= self._real(ERF_END), one, one - rest)
        return T.Select(size < self._real(ERF_NEAR), near, self._signed(far, x))

    def _signed(self, size: Tir, like: Tir) -> Tir:
        """A number that is not negative, with the sign of the other."""
        sign = T.bitwise_and(self._bits(like), self._integer(-(1 << 31)))
        return self._reals(T.bitwise_or(self._bits(T.Bind(size)), sign))

    def _polynomial(self, coefficients: Sequence[float], x: Tir) -> Tir:
        """Σ coefficients[i] · x^i."""
        *rest, last = coefficients
        value = self._real(last)
        for coefficient in reversed(rest):
            value = T.Bind(value * x + self._real(coefficient))
        return value

    def _power_of_two(self, power: Tir) -> Tir:
        biased = power + self._integer(127)
        return self._reals(T.shift_left(biased, self._integer(23)))

    def _kind(self, name: str) -> str:
        return name if self.lanes == 1 else f"{name}x{self.lanes}"

    def _bits(self, x: Tir) -> Tir:
        return T.reinterpret(x, dtype=self._kind("int32"))

    def _reals(self, x: Tir) -> Tir:
        return T.reinterpret(x, dtype=self._kind("float32"))

    def _real(self, value: float) -> Tir:
        return self._splat(T.FloatImm("float32", value))

    def _integer(self, value: int) -> Tir:
        return self._splat(T.IntImm("int32", value))

    def _splat(self, number: Tir) -> Tir:
        return number if self.lanes == 1 else T.broadcast(number, self.lanes)
