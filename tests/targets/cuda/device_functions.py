"""CUDA's functions that kernels use, each as CUDA text and as numpy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.targets.cuda import fragments
from tests.targets.cuda.device_kernels import HEADER


@dataclass(frozen=True)
class Expression:
    """A function of two arrays, as CUDA and as numpy."""

    title: str
    text: str
    kind: str
    result: str
    value: Callable[[Any, Any], Any]

    @property
    def name(self):
        return f"function_{self.title}"


def truncated(value):
    return np.clip(np.nan_to_num(value.astype(np.float64)), -(2.0**31), 2.0**31 - 1).astype(
        np.int32
    )


def bytes_of(word):
    return word.view(np.uint8).reshape(*word.shape, 4)


def permuted(a, b):
    both = np.concatenate((bytes_of(a), bytes_of(b)), axis=1)
    picks = np.stack([(b >> (4 * i)) & 7 for i in range(4)], axis=1)
    return np.take_along_axis(both, picks.astype(np.int64), axis=1).copy().view(np.uint32)[:, 0]


def dot(a_type, b_type):
    def value(a, b):
        left = bytes_of(a).view(a_type).astype(np.int64)
        right = bytes_of(b).view(b_type).astype(np.int64)
        return fragments.wrapped((left * right).sum(axis=1) + 7)

    return value


F, U, I32 = "float", "unsigned", "int"
EXPRESSIONS = [
    Expression("add", "__fadd_rn(a, b)", F, F, lambda a, b: a + b),
    Expression("subtract", "__fsub_rn(a, b)", F, F, lambda a, b: a - b),
    Expression("multiply", "__fmul_rn(a, b)", F, F, lambda a, b: a * b),
    Expression("plain", "a * b + a", F, F, lambda a, b: np.float32(1) * (a * b) + a),
    Expression("divide", "__fdiv_rn(a, b)", F, F, lambda a, b: a / b),
    Expression("root", "__fsqrt_rn(a)", F, F, lambda a, b: np.sqrt(a)),
    Expression("floor", "floorf(a)", F, F, lambda a, b: np.floor(a)),
    Expression("ceil", "ceilf(a)", F, F, lambda a, b: np.ceil(a)),
    Expression("rint", "rintf(a)", F, F, lambda a, b: np.rint(a)),
    Expression("fabs", "fabsf(a)", F, F, lambda a, b: np.abs(a)),
    Expression("fmin", "fminf(a, b)", F, F, lambda a, b: np.fmin(a, b)),
    Expression("fmax", "fmaxf(a, b)", F, F, lambda a, b: np.fmax(a, b)),
    Expression("isnan", "isnan(a)", F, I32, lambda a, b: np.where(np.isnan(a), 1, 0)),
    Expression("isinf", "isinf(a)", F, I32, lambda a, b: np.where(np.isinf(a), 1, 0)),
    Expression("to_int", "__float2int_rn(a)", F, I32, lambda a, b: truncated(np.rint(a))),
    Expression("cut", "__float2int_rz(a)", F, I32, lambda a, b: truncated(np.trunc(a))),
    Expression("from_int", "__int2float_rn(a)", I32, F, lambda a, b: a.astype(np.float32)),
    Expression("bits", "__float_as_int(a)", F, I32, lambda a, b: a.view(np.int32)),
    Expression("unbits", "__int_as_float(a)", I32, F, lambda a, b: a.view(np.float32)),
    Expression("min", "min(a, b)", I32, I32, lambda a, b: np.minimum(a, b)),
    Expression("max", "max(a, b)", I32, I32, lambda a, b: np.maximum(a, b)),
    Expression("umin", "min(a, b)", U, U, lambda a, b: np.minimum(a, b)),
    Expression("umax", "max(a, b)", U, U, lambda a, b: np.maximum(a, b)),
    Expression(
        "lmin",
        "(int)(min((long long)a << 20, (long long)b << 20) >> 20)",
        I32,
        I32,
        lambda a, b: np.minimum(a, b),
    ),
    Expression(
        "mulhi",
        "__mulhi(a, b)",
        I32,
        I32,
        lambda a, b: (a.astype(np.int64) * b >> 32).astype(np.int32),
    ),
    Expression("byte_perm", "__byte_perm(a, b, b)", U, U, permuted),
    Expression("dot_ss", "qc::dp4a<false>(a, b, 7)", U, I32, dot(np.int8, np.int8)),
    Expression("dot_us", "qc::dp4a<true>(a, b, 7)", U, I32, dot(np.uint8, np.int8)),
    Expression("dot_su", "qc::dp4a<false, true>(a, b, 7)", U, I32, dot(np.int8, np.uint8)),
    Expression("dot_uu", "qc::dp4a<true, true>(a, b, 7)", U, I32, dot(np.uint8, np.uint8)),
    Expression("xor_lane", "__shfl_xor_sync(~0u, a, 5)", F, F, lambda a, b: a[np.arange(32) ^ 5]),
    Expression(
        "down_lane",
        "__shfl_down_sync(~0u, a, 3)",
        I32,
        I32,
        lambda a, b: np.concatenate((a[3:], a[29:])),
    ),
    Expression(
        "up_lane",
        "__shfl_up_sync(~0u, a, 3)",
        I32,
        I32,
        lambda a, b: np.concatenate((a[:3], a[:29])),
    ),
    Expression(
        "ballot",
        "__ballot_sync(~0u, a < 0)",
        I32,
        U,
        lambda a, b: np.full(32, np.packbits(a < 0, bitorder="little").view(np.uint32)[0]),
    ),
]
TYPES = {F: np.float32, U: np.uint32, I32: np.int32}


def expression_kernel(case):
    return (
        f"{HEADER}{case.name}(const {case.kind}* __restrict__ x, const {case.kind}* __restrict__ y,"
        f" {case.result}* out) {{\n  const {case.kind} a = x[threadIdx.x], b = y[threadIdx.x];\n"
        f"  out[threadIdx.x] = {case.text};\n}}"
    )
