// D[m, n] = Σ A[m, k]·B[n, k] for Ampere: rows are packed along k, `row_bytes` bytes each. Two
// stages are under way as asynchronous copies while a third is multiplied.
#pragma once
#include "gemm_tile.cuh"

constexpr int RING = 3;

__device__ __forceinline__ void fetch(unsigned char* shared, const Tile& tile, int stage,
                                      int stages) {
  if (stage < stages) {
    unsigned char* to = shared + stage % RING * (BLOCK_M + BLOCK_N) * STAGE_BYTES;
#pragma unroll
    for (int i = 0; i < CHUNKS; i++) {
      const int chunk = threadIdx.x + i * THREADS;
      qc::cp_async16(to + swizzled(chunk >> 2, chunk & 3), tile.source(chunk, stage),
                     tile.inside(chunk, stage));
    }
  }
  qc::cp_async_commit();
}

template <int BITS>
__device__ __forceinline__ void gemm80(const unsigned char* a, const unsigned char* b, int* d,
                                       int m, int n, int row_bytes) {
  QC_SHARED(shared);
  const Place place(threadIdx.x);
  const int lane = place.lane, m0 = blockIdx.y * BLOCK_M, n0 = blockIdx.x * BLOCK_N;
  const int stages = (row_bytes + STAGE_BYTES - 1) / STAGE_BYTES;
  const Tile tile{a, b, m, n, row_bytes, m0, n0};
  int sums[WARP_M / 16][WARP_N / 8][4] = {};
  fetch(shared, tile, 0, stages);
  fetch(shared, tile, 1, stages);
  for (int stage = 0; stage < stages; stage++) {
    qc::cp_async_wait<1>();
    __syncthreads();
    fetch(shared, tile, stage + 2, stages);
    const unsigned char* from_a = shared + stage % RING * (BLOCK_M + BLOCK_N) * STAGE_BYTES;
    const unsigned char* from_b = from_a + BLOCK_M * STAGE_BYTES;
#pragma unroll
    for (int k = 0; k < 4; k += 2) {
      unsigned rows[WARP_M / 16][4], columns[WARP_N / 8][2];
#pragma unroll
      for (int i = 0; i < WARP_M / 16; i++)
        qc::ldmatrix_x4(rows[i],
                        from_a + swizzled(place.m + i * 16 + (lane & 15), k + (lane >> 4)));
#pragma unroll
      for (int j = 0; j < WARP_N / 8; j++)
        qc::ldmatrix_x2(columns[j],
                        from_b + swizzled(place.n + j * 8 + (lane & 7), k + (lane >> 3 & 1)));
      if (BITS == 8)
        qc::mma_m16n8k32_tile<false>(sums, rows, columns);
      else
        qc::mma_m16n8k64_tile<false>(sums, rows, columns);
    }
  }
#pragma unroll
  for (int i = 0; i < WARP_M / 16; i++)
#pragma unroll
    for (int j = 0; j < WARP_N / 8; j++) {
      const int row = m0 + place.m + i * 16 + lane / 4,
                column = n0 + place.n + j * 8 + lane % 4 * 2;
      tile.store(d, row, column, &sums[i][j][0]);
      tile.store(d, row + 8, column, &sums[i][j][2]);
    }
}
