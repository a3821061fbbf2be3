// D[m, n] = Σ A[m, k]·B[n, k] for Turing: rows are packed along k, `row_bytes` bytes each. The next
// stage waits in registers while the present one is multiplied.
#pragma once
#include "gemm_tile.cuh"

template <int BITS>
__device__ __forceinline__ void gemm75(const unsigned char* a, const unsigned char* b, int* d,
                                       int m, int n, int row_bytes) {
  QC_SHARED(shared);
  const Place place(threadIdx.x);
  const int m0 = blockIdx.y * BLOCK_M, n0 = blockIdx.x * BLOCK_N;
  const int stages = (row_bytes + STAGE_BYTES - 1) / STAGE_BYTES;
  const Tile tile{a, b, m, n, row_bytes, m0, n0};
  int sums[WARP_M / 8][WARP_N / 8][2] = {};
  uint4 next[CHUNKS];
#pragma unroll
  for (int i = 0; i < CHUNKS; i++) {
    const int chunk = threadIdx.x + i * THREADS;
    qc::shared_store16(shared + swizzled(chunk >> 2, chunk & 3), tile.load(chunk, 0));
  }
  __syncthreads();  // first stage
  for (int stage = 0; stage < stages; stage++) {
    if (stage + 1 < stages) {
#pragma unroll
      for (int i = 0; i < CHUNKS; i++) next[i] = tile.load(threadIdx.x + i * THREADS, stage + 1);
    }
    const unsigned char* from_a = shared + (stage & 1) * (BLOCK_M + BLOCK_N) * STAGE_BYTES;
    const unsigned char* from_b = from_a + BLOCK_M * STAGE_BYTES;
#pragma unroll
    for (int k = 0; k < 4; k++) {
      unsigned rows[WARP_M / 32][4], columns[WARP_N / 32][4];
#pragma unroll
      for (int i = 0; i < WARP_M / 32; i++)
        qc::ldmatrix_x4(rows[i], from_a + swizzled(place.m + i * 32 + place.lane, k));
#pragma unroll
      for (int j = 0; j < WARP_N / 32; j++)
        qc::ldmatrix_x4(columns[j], from_b + swizzled(place.n + j * 32 + place.lane, k));
#pragma unroll
      for (int i = 0; i < WARP_M / 8; i++)
#pragma unroll
        for (int j = 0; j < WARP_N / 8; j++) {
          if (BITS == 8)
            qc::mma_m8n8k16<false>(sums[i][j], rows[i / 4][i % 4], columns[j / 4][j % 4]);
          else
            qc::mma_m8n8k32<false>(sums[i][j], rows[i / 4][i % 4], columns[j / 4][j % 4]);
        }
    }
    if (stage + 1 == stages) break;
    unsigned char* to = shared + ((stage + 1) & 1) * (BLOCK_M + BLOCK_N) * STAGE_BYTES;
#pragma unroll
    for (int i = 0; i < CHUNKS; i++) {
      const int chunk = threadIdx.x + i * THREADS;
      qc::shared_store16(to + swizzled(chunk >> 2, chunk & 3), next[i]);
    }
    __syncthreads();  // next stage
  }
#pragma unroll
  for (int i = 0; i < WARP_M / 8; i++)
#pragma unroll
    for (int j = 0; j < WARP_N / 8; j++)
      tile.store(d, m0 + place.m + i * 8 + place.lane / 4,
                 n0 + place.n + j * 8 + place.lane % 4 * 2, sums[i][j]);
}
