// From the sums in a warp's fragments to runs of LANES channels of one place in one lane.
//
// A fragment spreads a row over 4 lanes; the next layer's format wants 16 or 32 channels of a place
// in one 16-byte store. So SLICE rows at a time go through shared memory, each warp in its own part
// of it. A row is WN sums in vectors of 4, turned by the row: 8 lanes that read the same vector of
// 8 rows, and 16 lanes that write pairs into 4 rows, each touch every bank once.
#pragma once
#include "qc_products.cuh"

namespace qc {

constexpr int VECTOR = 4;

// In bytes. Bits of the row are rotated, so that rows 0-3 (and 4-7) differ in bits 1 and 2: a
// fragment's row covers the two vectors that differ in bit 0.
template <class Problem>
constexpr int staged(unsigned row, unsigned vector) {
  const unsigned turn = (row * 2 + row / 4 % 2) % 8;
  return (row * (Problem::WN / VECTOR) + (vector ^ turn)) * (VECTOR * 4);
}

// The slice's rows into shared memory. `slice` is a constant of each call: sums live in registers.
template <class Problem, class Products>
void put_slice(const Products& products, unsigned char* part, int slice, unsigned lane) {
  constexpr int EIGHTHS = Tile<Problem>::SLICE / 8;
#pragma unroll
  for (int i = 0; i < EIGHTHS; ++i)
#pragma unroll
    for (int j = 0; j < Problem::WN / 8; ++j) {
      const unsigned row = i * 8 + lane / 4, vector = j * 2 + lane % 4 / 2;
      shared_store8(part + staged<Problem>(row, vector) + lane % 2 * 8,
                    products.pair(slice * EIGHTHS + i, j));
    }
}

template <class Problem>
void take_run(int (&run)[Problem::LANES], const unsigned char* part, int row, int first) {
  constexpr int SHIFT = Tile<Problem>::PACKED ? PACKED_SHIFT : 0;
#pragma unroll
  for (int v = 0; v < Problem::LANES / VECTOR; ++v) {
    const uint4 sums = shared_load16(part + staged<Problem>(row, first / VECTOR + v));
    run[v * VECTOR] = (int)sums.x >> SHIFT;
    run[v * VECTOR + 1] = (int)sums.y >> SHIFT;
    run[v * VECTOR + 2] = (int)sums.z >> SHIFT;
    run[v * VECTOR + 3] = (int)sums.w >> SHIFT;
  }
}

// The tile of a warp among all results.
struct Results {
  int split, m, n;
};

// Hands every run of a warp to Problem::finish. The loop over slices is not unrolled, so that the
// code of finish exists once.
template <class Problem, class Products>
void hand_over(const Products& products, const Problem& problem, unsigned char* part,
               const Results& to, unsigned lane) {
  constexpr int SLICE = Tile<Problem>::SLICE, SLICES = Problem::WM / SLICE;
  constexpr int ROUNDS = SLICE * Problem::WN / Problem::LANES / 32;
#pragma unroll 1
  for (int slice = 0; slice < SLICES; ++slice) {
#pragma unroll
    for (int i = 0; i < SLICES; ++i)
      if (i == slice) put_slice<Problem>(products, part, i, lane);
    __syncwarp();
#pragma unroll 1
    for (int round = 0; round < ROUNDS; ++round) {
      const unsigned run_number = round * 32 + lane;
      const int row = run_number % SLICE, first = run_number / SLICE * Problem::LANES;
      const int m = to.m + slice * SLICE + row, n = to.n + first;
      if (m < Problem::M && n < Problem::N_STORED) {
        int run[Problem::LANES];
        take_run<Problem>(run, part, row, first);
        problem.finish(m, n, to.split, run);
      }
    }
    __syncwarp();
  }
}

}  // namespace qc
