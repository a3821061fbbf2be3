"""Kernels and the emulator itself under the address and undefined-behaviour sanitizers."""

import numpy as np
import pytest

from qcompile.targets.cuda.emulator import EmulationError, emulator_library
from qcompile.targets.cuda.sanitized import SANITIZE, Case, run_sanitized
from tests.targets.cuda import gemm

pytestmark = pytest.mark.slow  # instrumented objects take half a minute to build

SHAPE = (100, 72, 160)
HEADER = '#include "qc_device.cuh"\nextern "C" __global__ void '
WRONG = {
    "past_the_end": "(unsigned char* out) { out[33] = out[32]; }",
    "shift": "(unsigned char* out) { const int by = out[0]; out[1] = 1 << by; }",
    "past_an_array": "(unsigned char* out) { int a[4] = {}; a[out[1]] = 1; out[0] = a[0]; }",
    "misaligned": "(unsigned char* out) { *(int*)(out + 1) = 0; }",
}
REPORTS = {
    "past_the_end": "heap-buffer-overflow",
    "shift": "shift exponent 200 is too large",
    "past_an_array": "out of bounds for type 'int|stack-buffer-overflow",
    "misaligned": "misaligned address",
}


@pytest.fixture(scope="module")
def products(emulator_cache):
    sources = {kernel: gemm.source(kernel) for kernel in gemm.KERNELS}
    return emulator_library(sources, cache=emulator_cache, includes=gemm.headers(), flags=SANITIZE)


@pytest.fixture(scope="module")
def wrong(emulator_cache):
    text = "\n".join(f"{HEADER}{name}{body}\nQC_KERNEL({name})" for name, body in WRONG.items())
    return emulator_library({"wrong": text}, cache=emulator_cache, flags=SANITIZE)


@pytest.mark.parametrize("order", [0, 2])
@pytest.mark.parametrize("kernel", gemm.KERNELS)
def test_a_right_kernel_is_clean(products, kernel, order):
    m, n, _ = SHAPE
    a, b, expected = gemm.operands(kernel, SHAPE)
    sizes = [np.int32(m), np.int32(n), np.int32(a.shape[1])]
    case = Case(products, kernel, (1, 1), (256,), gemm.shared(kernel), order)
    left = run_sanitized(case, [a, b, np.full((m, n), -1, np.int32), *sizes])
    np.testing.assert_array_equal(left[2], expected)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_kernel_is_reported(wrong, name):
    case = Case(wrong, name, (1,), (1,), 0, 0)
    with pytest.raises(EmulationError, match=REPORTS[name]):
        run_sanitized(case, [np.full(32, 200, np.uint8)])
