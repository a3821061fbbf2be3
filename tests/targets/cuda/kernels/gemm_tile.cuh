// What the matrix products for Turing and Ampere share: sizes, the swizzle, loads and stores that
// end at ragged edges.
#pragma once
#include "qc_device.cuh"

constexpr int BLOCK_M = 128, BLOCK_N = 128, WARP_M = 64, WARP_N = 32, STAGE_BYTES = 64;
constexpr int WARPS = (BLOCK_M / WARP_M) * (BLOCK_N / WARP_N), THREADS = 32 * WARPS;
constexpr int CHUNKS = (BLOCK_M + BLOCK_N) * 4 / THREADS;

// Eight rows that ldmatrix reads together fall into eight different groups of banks.
__device__ __forceinline__ int swizzled(int row, int chunk) {
  return row * STAGE_BYTES + ((chunk ^ (row >> 1 & 3)) << 4);
}

struct Place {
  int lane, m, n;
  __device__ __forceinline__ Place(int thread)
      : lane(thread & 31),
        m((thread >> 5) / (BLOCK_N / WARP_N) * WARP_M),
        n((thread >> 5) % (BLOCK_N / WARP_N) * WARP_N) {}
};

struct Tile {
  const unsigned char *a, *b;
  int m, n, row_bytes, m0, n0;

  __device__ __forceinline__ bool inside(int chunk, int stage) const {
    const int row = chunk >> 2, k = stage * STAGE_BYTES + (chunk & 3) * 16;
    return k < row_bytes && (row < BLOCK_M ? m0 + row < m : n0 + row - BLOCK_M < n);
  }
  __device__ __forceinline__ const unsigned char* source(int chunk, int stage) const {
    if (!inside(chunk, stage)) return a;
    const int row = chunk >> 2, k = stage * STAGE_BYTES + (chunk & 3) * 16;
    return row < BLOCK_M ? a + (long long)(m0 + row) * row_bytes + k
                         : b + (long long)(n0 + row - BLOCK_M) * row_bytes + k;
  }
  __device__ __forceinline__ uint4 load(int chunk, int stage) const {
    return inside(chunk, stage) ? qc::global_load16(source(chunk, stage)) : make_uint4(0, 0, 0, 0);
  }
  __device__ __forceinline__ void store(int* d, int row, int column, const int* pair) const {
    if (row >= m || column >= n) return;
    d[(long long)row * n + column] = pair[0];
    if (column + 1 < n) d[(long long)row * n + column + 1] = pair[1];
  }
};
