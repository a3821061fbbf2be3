"""Kernels of one instruction each."""

from itertools import product

PRODUCTS = {  # name: 16-byte groups of k, 8-row halves, bits
    "mma_m8n8k16": (1, 1, 8),
    "mma_m8n8k32": (1, 1, 4),
    "mma_m16n8k32": (2, 2, 8),
    "mma_m16n8k64": (2, 2, 4),
}
TILE = (3, 2)
SIGNS = {"false": False, "true": True}
HEADER = '#include "qc_device.cuh"\nextern "C" __global__ void __launch_bounds__(32) '
TABLES = (
    HEADER
    + """tables(int* out) {
  static __constant__ const int squares[4] = {0, 1, 4, 9};
  out[threadIdx.x] = squares[threadIdx.x & 3];
}"""
)


def product_kernel(name, sign, tile):
    """Loads registers, multiplies once, stores the sums: `[lane, …]` arrays of words."""
    groups, halves, _ = PRODUCTS[name]
    rows, columns = tile
    a = f"[{rows}]" + ("[4]" if halves == 2 else "")
    b = f"[{columns}]" + ("[2]" if halves == 2 else "")
    call = (
        f"qc::{name}_tile<{sign}>(c, a, b)"
        if tile != (1, 1)
        else f"qc::{name}<{sign}>(c[0][0], a[0], b[0])"
    )
    whole = product_name(name, sign, tile)
    return f"""{HEADER}{whole}(const unsigned* x, const unsigned* y, int* z) {{
  unsigned a{a}, b{b};
  int c[{rows}][{columns}][{2 * halves}];
  const int lane = threadIdx.x;
  for (int i = 0; i < {rows * groups * halves}; i++)
    ((unsigned*)a)[i] = x[lane * {rows * groups * halves} + i];
  for (int i = 0; i < {columns * groups}; i++)
    ((unsigned*)b)[i] = y[lane * {columns * groups} + i];
  for (int i = 0; i < {rows * columns * 2 * halves}; i++)
    (&c[0][0][0])[i] = z[lane * {rows * columns * 2 * halves} + i];
  {call};
  for (int i = 0; i < {rows * columns * 2 * halves}; i++)
    z[lane * {rows * columns * 2 * halves} + i] = (&c[0][0][0])[i];
}}"""


def product_name(name, sign, tile):
    return f"{name}_{sign}_{tile[0]}_{tile[1]}"


LOADS = {
    n: f"""{HEADER}ldmatrix_{n}(const unsigned* words, const int* rows, unsigned* out) {{
  QC_SHARED(shared);
  for (int i = threadIdx.x; i < 256; i += 32) qc::shared_store4(shared + 4 * i, words[i]);
  __syncwarp();
  unsigned r[{n}];
  qc::ldmatrix_x{n}(r, shared + rows[threadIdx.x] * 16);
  for (int m = 0; m < {n}; m++) out[threadIdx.x * {n} + m] = r[m];
}}"""
    for n in (2, 4)
}
VECTORS = (
    HEADER
    + """vectors(const unsigned char* from, unsigned char* to) {
  QC_SHARED(shared);
  const int t = threadIdx.x;
  qc::shared_store16(shared + 16 * t, qc::global_load16(from + 32 * t));
  qc::shared_store8(shared + 512 + 8 * t, qc::global_load8(from + 32 * t + 16));
  qc::shared_store4(shared + 768 + 4 * t, qc::global_load4(from + 32 * t + 24));
  __syncthreads();
  const int u = 31 - t;
  qc::global_store16(to + 32 * u, qc::shared_load16(shared + 16 * u));
  qc::global_store8(to + 32 * u + 16, qc::shared_load8(shared + 512 + 8 * u));
  qc::global_store4(to + 32 * u + 24, qc::shared_load4(shared + 768 + 4 * u));
}"""
)
PRODUCT_CASES = list(product(PRODUCTS, SIGNS, ((1, 1), TILE)))
ASYNC = (
    HEADER
    + """copies(const unsigned char* from, unsigned char* to) {
  QC_SHARED(shared);
  qc::cp_async16(shared + 16 * threadIdx.x, from + 16 * threadIdx.x);
  qc::cp_async_commit();
  qc::cp_async16(shared + 512 + 16 * threadIdx.x, from, threadIdx.x < 5);
  qc::cp_async_commit();
  qc::cp_async_wait<1>();
  qc::cp_async_wait<0>();
  __syncthreads();
  qc::global_store16(to + 16 * threadIdx.x, qc::shared_load16(shared + 16 * threadIdx.x));
}"""
)
