// The geometry of one contraction: which block does what, and where a chunk lies in shared memory.
//
// A contraction is out[m][n] = sum over k of x[m][k] * w[n][k], for M places and N output channels.
// k is counted in bytes of the form in which the mma instruction reads it: one byte holds one 8-bit
// or two 4-bit elements. A block owns BM places and BN channels and walks along k in steps of 64
// bytes, that is 4 chunks of 16 bytes: a row of an ldmatrix tile is one chunk.
//
// What a Problem must declare is listed in qc_contract.cuh.
#pragma once
#include "qc_device.cuh"

namespace qc {

constexpr int STEP = 64;
constexpr int CHUNK = 16;
constexpr int RUN = 8;  // channels of one place that a lane finishes at once

constexpr int tiles(int size, int tile) { return (size + tile - 1) / tile; }

struct Place {
  int split, m_tile, n_tile;
};

template <class Problem>
struct Tile {
  static constexpr int WARPS_N = Problem::BN / Problem::WN;
  static constexpr int WARPS = Problem::BM / Problem::WM * WARPS_N;
  static constexpr int THREADS = 32 * WARPS;

  static constexpr int M_TILES = tiles(Problem::M, Problem::BM);
  static constexpr int N_TILES = tiles(Problem::N, Problem::BN);
  static constexpr int STEPS = Problem::K_BYTES / STEP;

  // Chunks of one row and step. 4-bit weights of an 8-bit product stay packed in shared memory.
  static constexpr bool PACKED = Problem::WEIGHT_BITS < Problem::BITS;
  static constexpr int X_CHUNKS = STEP / CHUNK;
  static constexpr int W_CHUNKS = X_CHUNKS * Problem::WEIGHT_BITS / Problem::BITS;
  static constexpr int X_BYTES = Problem::BM * X_CHUNKS * CHUNK;
  static constexpr int W_BYTES = Problem::BN * W_CHUNKS * CHUNK;
  static constexpr int STAGE_BYTES = X_BYTES + W_BYTES;

  static constexpr int SHARED_BYTES = Problem::STAGES * STAGE_BYTES;

  // Blocks that run at the same time should read the same bytes, so neighbours share the rows of x
  // and differ in the channels. Where the weights are too large to stay in the second-level cache
  // meanwhile, the channels are cut into equal panels that do, one panel after the other.
  static constexpr int PANEL_BYTES = 1 << 20;
  static constexpr int panels() {
    int count = 1;
    while (N_TILES % count || (long long)(N_TILES / count) * STEPS * W_BYTES > PANEL_BYTES) {
      if (count == N_TILES) break;
      ++count;
    }
    return count;
  }

  static Place place(unsigned block) {
    // Unsigned divisions by constants take fewer instructions.
    constexpr unsigned WIDTH = N_TILES / panels(), PANEL = M_TILES * WIDTH;
    constexpr unsigned SPLIT = M_TILES * N_TILES;
    const unsigned split = block / SPLIT, in_split = block % SPLIT;
    const unsigned panel = in_split / PANEL, in_panel = in_split % PANEL;
    return {(int)split, (int)(in_panel / WIDTH), (int)(panel * WIDTH + in_panel % WIDTH)};
  }

  // Splits differ by at most one step and may be empty.
  static int first_step(int split) { return split * STEPS / Problem::SPLITS; }

  static_assert(Problem::ARCH == 75 || Problem::ARCH == 80, "main loops exist for 75 and 80");
  static_assert(Problem::ARCH == 80 || Problem::STAGES == 2, "75 stages through registers");
  static_assert(Problem::STAGES >= 2, "copies overlap the products of another stage");
  static_assert(Problem::BITS == 8 || Problem::BITS == 4, "8-bit or 4-bit products");
  static_assert(Problem::WEIGHT_BITS == Problem::BITS || Problem::WEIGHT_BITS == 4,
                "weights as wide as the product, or 4 bits");
  static_assert(Problem::BM % Problem::WM == 0 && Problem::BN % Problem::WN == 0,
                "whole warp tiles");
  static_assert(Problem::WM % 32 == 0 && (Problem::WN == 32 || Problem::WN == 64),
                "a warp owns 32 or more rows and 32 or 64 channels");
  static_assert(Problem::K_BYTES % STEP == 0 && STEPS > 0, "k is padded to whole steps");
  static_assert(Problem::N_STORED % RUN == 0, "whole runs are stored");
  static_assert(Problem::N_STORED <= N_TILES * Problem::BN, "what is stored is computed");
  static_assert((long long)N_TILES * STEPS * W_BYTES < 1LL << 32, "weights of less than 4 GiB");
  static_assert(!PACKED || Problem::K_BYTES < 1 << 16,
                "sums of 16 times a 4-bit weight times 8 bits fit 32 bits");
};

template <class Problem>
constexpr int threads() {
  return Tile<Problem>::THREADS;
}

template <class Problem>
constexpr int shared_bytes() {
  return Tile<Problem>::SHARED_BYTES;
}

template <class Problem>
constexpr int blocks() {
  return Tile<Problem>::M_TILES * Tile<Problem>::N_TILES * Problem::SPLITS;
}

// Where chunk `chunk` of row `row` lies in a tile of CHUNKS (4 or 2) chunks a row. Banks repeat
// every 128 bytes, that is every 8 / CHUNKS rows: the rows beyond are turned by one chunk each, so
// that 8 rows read at the same chunk (ldmatrix) and 8 chunks written in a row (16-byte stores) are
// both without bank conflicts.
template <int CHUNKS>
constexpr int swizzle(unsigned row, unsigned chunk) {
  return (int)((row * CHUNKS + (chunk ^ (row / (8 / CHUNKS) % CHUNKS))) * CHUNK);
}

// From a row's first chunk (an offset from swizzle(row, c)) to the one whose number differs in the
// bits of `chunk`: exclusive or commutes with the turn.
constexpr int turned(int offset, int chunk) { return offset ^ chunk * CHUNK; }

}  // namespace qc
