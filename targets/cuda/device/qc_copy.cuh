// What one thread copies of a stage: its chunks of x and of the weights, from global to shared
// memory.
//
// Chunk c of a tile belongs to thread c mod THREADS. A thread's chunks of x so lie at one place of
// k in different rows: one call of Problem::column a step serves them all. Weights are packed tile
// by tile and step by step (targets/cuda/packing.py), so that a block reads them in one run. No
// copy asks whether its source is inside: halos, slack and the clamped place make every address
// readable.
#pragma once
#include "qc_tile.cuh"

namespace qc {

template <class Problem>
struct Copies {
  using Shape = Tile<Problem>;
  static constexpr int THREADS = Shape::THREADS;
  static constexpr int X_TOTAL = Problem::BM * Shape::X_CHUNKS;
  static constexpr int W_TOTAL = Problem::BN * Shape::W_CHUNKS;
  static constexpr int X_COUNT = tiles(X_TOTAL, THREADS);
  static constexpr int W_COUNT = tiles(W_TOTAL, THREADS);
  static constexpr int NEXT = THREADS * CHUNK;  // from one of a thread's chunks to its next

  unsigned thread;
  int n_tile;
  const unsigned char *inputs, *weights;
  unsigned x[X_COUNT], w;  // from there; offsets of 32 bits take half the registers of pointers
  int x_shared, w_shared;

  Copies(const unsigned char* inputs, const unsigned char* weights, const Place& place)
      : thread(threadIdx.x), n_tile(place.n_tile), inputs(inputs), weights(weights) {
    const unsigned row = thread / Shape::X_CHUNKS;
#pragma unroll
    for (int i = 0; i < X_COUNT; ++i) {
      const int m = place.m_tile * Problem::BM + row + i * (THREADS / Shape::X_CHUNKS);
      x[i] = Problem::row(m < Problem::M ? m : Problem::M - 1);
    }
    w = (unsigned)n_tile * (Shape::STEPS * Shape::W_BYTES) + thread * CHUNK;
    // A thread's next chunk lies a multiple of 8 rows further, where the swizzle repeats.
    x_shared = swizzle<Shape::X_CHUNKS>(row, thread % Shape::X_CHUNKS);
    w_shared = Shape::X_BYTES +
               swizzle<Shape::W_CHUNKS>(thread / Shape::W_CHUNKS, thread % Shape::W_CHUNKS);
  }

  // Where a tile has fewer chunks than the block has threads, whole warps have none.
  bool has_x(int i) const { return X_TOTAL % THREADS == 0 || thread + i * THREADS < X_TOTAL; }
  bool has_w(int i) const { return W_TOTAL % THREADS == 0 || thread + i * THREADS < W_TOTAL; }

  // Where byte `byte` of this thread's chunk of a step lies, from the beginning of its row.
  unsigned column(int step, int byte) const {
    const unsigned k = step * STEP + thread % Shape::X_CHUNKS * CHUNK + byte;
    const unsigned inside = k % Problem::WORD;
    return Problem::column(n_tile, k - inside) + inside;
  }

  const unsigned char* input(int i, unsigned column) const { return inputs + (x[i] + column); }
  const unsigned char* weight(int step, int i) const {
    return weights + (w + step * Shape::W_BYTES) + i * NEXT;
  }
};

// The chunks of x of one step on their way through registers.
template <class Problem>
struct HeldInputs {
  using Copy = Copies<Problem>;
  uint4 held[Copy::X_COUNT];

  void load(const Copy& copy, int step) {
    unsigned columns[CHUNK / 4];
#pragma unroll
    for (int byte = 0; byte < CHUNK; byte += 4)
      if (byte % Problem::WORD == 0) columns[byte / 4] = copy.column(step, byte);
#pragma unroll
    for (int i = 0; i < Copy::X_COUNT; ++i)
      if (copy.has_x(i)) held[i] = gather(copy, i, columns);
  }

  void store(const Copy& copy, unsigned char* stage) const {
#pragma unroll
    for (int i = 0; i < Copy::X_COUNT; ++i)
      if (copy.has_x(i)) shared_store16(stage + copy.x_shared + i * Copy::NEXT, held[i]);
  }

  static uint4 gather(const Copy& copy, int i, const unsigned (&columns)[CHUNK / 4]) {
    if constexpr (Problem::WORD == 4) {
      return make_uint4(
          global_load4(copy.input(i, columns[0])), global_load4(copy.input(i, columns[1])),
          global_load4(copy.input(i, columns[2])), global_load4(copy.input(i, columns[3])));
    } else if constexpr (Problem::WORD == 8) {
      const uint2 low = global_load8(copy.input(i, columns[0])),
                  high = global_load8(copy.input(i, columns[2]));
      return make_uint4(low.x, low.y, high.x, high.y);
    } else {
      return global_load16(copy.input(i, columns[0]));
    }
  }
};

template <class Problem>
struct HeldWeights {
  using Copy = Copies<Problem>;
  uint4 held[Copy::W_COUNT];

  void load(const Copy& copy, int step) {
#pragma unroll
    for (int i = 0; i < Copy::W_COUNT; ++i)
      if (copy.has_w(i)) held[i] = global_load16(copy.weight(step, i));
  }

  void store(const Copy& copy, unsigned char* stage) const {
#pragma unroll
    for (int i = 0; i < Copy::W_COUNT; ++i)
      if (copy.has_w(i)) shared_store16(stage + copy.w_shared + i * Copy::NEXT, held[i]);
  }
};

// Copies in the background, as part of the thread's open group.
template <class Problem>
void start_inputs(const Copies<Problem>& copy, int step, unsigned char* stage) {
  using Copy = Copies<Problem>;
  const unsigned column = copy.column(step, 0);
#pragma unroll
  for (int i = 0; i < Copy::X_COUNT; ++i)
    if (copy.has_x(i)) cp_async16(stage + copy.x_shared + i * Copy::NEXT, copy.input(i, column));
}

template <class Problem>
void start_weights(const Copies<Problem>& copy, int step, unsigned char* stage) {
  using Copy = Copies<Problem>;
#pragma unroll
  for (int i = 0; i < Copy::W_COUNT; ++i)
    if (copy.has_w(i)) cp_async16(stage + copy.w_shared + i * Copy::NEXT, copy.weight(step, i));
}

}  // namespace qc
