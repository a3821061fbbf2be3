// Implicit GEMM on the integer tensor cores: out[m][n] = sum over k of x[m][k] * w[n][k].
//
// One template serves matrix products, convolutions and their grouped forms, for 8-bit and 4-bit
// operands: a Problem says where the bytes of x lie and what becomes of the sums. All of it is
// constant or inlined, so that a kernel is as special as if written by hand.
//
//   struct Problem {
//     static constexpr int ARCH;            80: m16n8, copies in the background;
//                                           75: m8n8, by registers
//     static constexpr int BITS;            width of the operands of the products: 8 | 4
//     static constexpr int WEIGHT_BITS;     width of the weights in memory: BITS, or 4
//     static constexpr bool UNSIGNED;       whether x is unsigned; weights are signed
//     static constexpr int BM, BN, WM, WN;  places and channels of a block and of a warp
//     static constexpr int STAGES;          steps of k in shared memory; 2 on 75
//     static constexpr int M, N;            places and channels
//     static constexpr int K_BYTES;         a multiple of 64; weights beyond the real k are zero
//     static constexpr int N_STORED;        channels handed over: whole runs of 8
//     static constexpr int SPLITS;          parts of k, each the work of other blocks
//     static constexpr int WORD;            bytes of k side by side in x: 4 | 8 | 16 | 32 | 64
//     static int row(int m);                where place m < M begins in x
//     static int column(int n_tile, int k); where bytes k .. k + WORD - 1 lie from there,
//                                           k % WORD = 0, for the n_tile-th BN channels
//     void finish(int m, int n, int split, bool inside, const int (&sums)[8]) const;
//                                           m < M, n < N_STORED; stores nothing unless `inside`
//   };
//
// x + row + column is aligned to min(WORD, 16) bytes and readable for all m < M and k < K_BYTES.
// A kernel has threads<Problem>() threads and shared_bytes<Problem>() bytes of dynamic shared
// memory; its blocks 0 .. blocks<Problem>() - 1 call contract, with all their threads.
#pragma once
#include "qc_copy.cuh"
#include "qc_finish.cuh"

namespace qc {

// What a warp and its thread work on.
struct Position {
  int x, w;         // where the lane's row of x and of the weights begins in a stage
  int first, last;  // steps of k, `last` excluded
};

// Two stages: while one is multiplied, the next step is on its way into registers.
template <class Problem>
struct Loop75 {
  using Products = Products75<Problem>;

  static void run(Products& products, const Copies<Problem>& copies, unsigned char* shared,
                  const Position& at) {
    HeldInputs<Problem> inputs;
    HeldWeights<Problem> weights;
    int now = 0, next = Tile<Problem>::STAGE_BYTES;
    if (at.first < at.last) {
      inputs.load(copies, at.first);
      weights.load(copies, at.first);
      inputs.store(copies, shared);
      weights.store(copies, shared);
    }
    __syncthreads();
#pragma unroll 1
    for (int step = at.first; step < at.last; ++step) {
      const bool more = step + 1 < at.last;
      if (more) {
        inputs.load(copies, step + 1);
        weights.load(copies, step + 1);
      }
      products.add(shared, now + at.x, now + at.w);
      if (more) {
        inputs.store(copies, shared + next);
        weights.store(copies, shared + next);
      }
      // One barrier serves both stages: `next` is written, and all have read `now`.
      __syncthreads();
      const int other = now;
      now = next;
      next = other;
    }
  }
};

// One stage is multiplied while the steps after it arrive in the others. Words of less than 16
// bytes cannot be copied in the background and go through registers.
template <class Problem>
struct Loop80 {
  using Products = Products80<Problem>;
  static constexpr int AHEAD = Problem::STAGES - 1;
  static constexpr int STAGE = Tile<Problem>::STAGE_BYTES;
  static constexpr bool WORDS = Problem::WORD < CHUNK;

  static void run(Products& products, const Copies<Problem>& copies, unsigned char* shared,
                  const Position& at) {
    HeldInputs<Problem> inputs;
#pragma unroll
    for (int i = 0; i < AHEAD; ++i) {
      if (at.first + i < at.last) {
        begin(inputs, copies, at.first + i, shared + i * STAGE);
        end(inputs, copies, shared + i * STAGE);
      }
      cp_async_commit();
    }
    int now = 0, free = AHEAD * STAGE;
#pragma unroll 1
    for (int step = at.first; step < at.last; ++step) {
      cp_async_wait<AHEAD - 1>();
      // All copies of this step have landed, and all threads have read the stage filled next.
      __syncthreads();
      const bool more = step + AHEAD < at.last;
      if (more) begin(inputs, copies, step + AHEAD, shared + free);
      cp_async_commit();
      products.add(shared, now + at.x, now + at.w);
      if (more) end(inputs, copies, shared + free);
      now = now == AHEAD * STAGE ? 0 : now + STAGE;
      free = free == AHEAD * STAGE ? 0 : free + STAGE;
    }
  }

  static void begin(HeldInputs<Problem>& inputs, const Copies<Problem>& copies, int step,
                    unsigned char* stage) {
    if constexpr (WORDS)
      inputs.load(copies, step);
    else
      start_inputs(copies, step, stage);
    start_weights(copies, step, stage);
  }

  static void end(const HeldInputs<Problem>& inputs, const Copies<Problem>& copies,
                  unsigned char* stage) {
    if constexpr (WORDS) inputs.store(copies, stage);
  }
};

template <class Problem, int ARCH>
struct LoopFor;
template <class Problem>
struct LoopFor<Problem, 75> {
  using type = Loop75<Problem>;
};
template <class Problem>
struct LoopFor<Problem, 80> {
  using type = Loop80<Problem>;
};

template <class Problem>
__device__ __forceinline__ void contract(const unsigned char* x, const unsigned char* w,
                                         const Problem& problem, int block) {
  using Shape = Tile<Problem>;
  using Loop = typename LoopFor<Problem, Problem::ARCH>::type;
  QC_SHARED(shared);
  const Place place = Shape::place(block);
  const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int m = warp / Shape::WARPS_N * Problem::WM, n = warp % Shape::WARPS_N * Problem::WN;
  const int x_row = m * STEP + Loop::Products::lane_x(lane);
  const int w_row = Shape::X_BYTES + n * (Shape::W_CHUNKS * CHUNK) + Loop::Products::lane_w(lane);
  const Position at{x_row, w_row, Shape::first_step(place.split),
                    Shape::first_step(place.split + 1)};

  typename Loop::Products products;
  products.clear();
  Loop::run(products, Copies<Problem>(x, w, place), shared, at);
  hand_over(products, problem,
            {place.split, place.m_tile * Problem::BM + m, place.n_tile * Problem::BN + n}, lane);
}

}  // namespace qc
