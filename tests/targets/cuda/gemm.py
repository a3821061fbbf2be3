"""Two example kernels, a matrix product for Turing and one for Ampere, and numpy's answer."""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "kernels"
KERNELS = ("gemm75_s8", "gemm75_s4", "gemm80_s8", "gemm80_s4")
SHAPES = ((100, 72, 160), (257, 130, 288), (1, 8, 32))  # m, n, k: edges of every kind
BLOCK, STAGES = 128, {"gemm75": 2, "gemm80": 3}
PARAMETERS = "const unsigned char* __restrict__ a, const unsigned char* __restrict__ b, int* d"


def headers():
    return {path.name: path.read_text() for path in FOLDER.glob("*.cuh")}


def source(kernel):
    family, bits = kernel.split("_s")
    return f"""#include "{family}.cuh"
extern "C" __global__ void __launch_bounds__(THREADS)
    {kernel}({PARAMETERS}, int m, int n, int row_bytes) {{
  {family}<{bits}>(a, b, d, m, n, row_bytes);
}}"""


def operands(kernel, shape):
    """Packed random rows of both operands, and their product."""
    m, n, k = shape
    bits = int(kernel.split("_s")[1])
    rng = np.random.default_rng(m + n + k)
    a, b = (rng.integers(-(1 << bits - 1), 1 << bits - 1, (rows, k)) for rows in (m, n))
    return packed(a, bits), packed(b, bits), (a @ b.T).astype(np.int32)


def packed(values, bits):
    if bits == 8:
        return values.astype(np.int8).view(np.uint8)
    low = values.astype(np.int8).view(np.uint8) & 15
    return np.ascontiguousarray(low[:, ::2] | low[:, 1::2] << 4)


def run(emulator, kernel, shape, order):
    """The kernel's product, numpy's, and what the launch did."""
    m, n, _ = shape
    a, b, expected = operands(kernel, shape)
    d = np.full((m, n), -1, np.int32)
    stats = emulator.launch(
        kernel,
        grid=(-(-n // BLOCK), -(-m // BLOCK)),
        block=(256,),
        shared=shared(kernel),
        order=order,
        arrays=[a, b, d, np.int32(m), np.int32(n), np.int32(a.shape[1])],
    )
    return d, expected, stats


def shared(kernel):
    return STAGES[kernel.split("_s")[0]] * 2 * BLOCK * 64
