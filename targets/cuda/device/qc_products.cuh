// The products of one step, by one warp, from shared memory into its sums.
//
// Operands come by ldmatrix: a tile of 8 rows of one chunk gives each lane those 4 bytes of a row
// that the mma instruction wants from it, for 8-bit and 4-bit elements alike. Each lane names one
// row, and `x` and `w` are where its row's first chunk lies; the others lie at other values of two
// bits.
//
// 4-bit weights of 8-bit products lie two to a byte: the low nibbles are one chunk of k, the high
// ones the next. They are multiplied where a nibble is its value with the sign for free: in the
// high half of the byte, as 16 times the weight. The sums are exact multiples of 16 and are divided
// when they leave.
#pragma once
#include "qc_tile.cuh"

namespace qc {

constexpr unsigned HIGH_NIBBLES = 0xF0F0F0F0u;
constexpr int PACKED_SHIFT = 4;

// m8n8: a fragment is 2 sums of row lane / 4, at columns lane % 4 * 2 + {0, 1}; k by chunks.
template <class Problem>
struct Products75 {
  using Shape = Tile<Problem>;
  int sums[Problem::WM / 8][Problem::WN / 8][2];

  static int lane_x(unsigned lane) { return swizzle<Shape::X_CHUNKS>(lane, 0); }
  static int lane_w(unsigned lane) { return swizzle<Shape::W_CHUNKS>(lane, 0); }

  void clear() {
#pragma unroll
    for (int i = 0; i < Problem::WM / 8; ++i)
#pragma unroll
      for (int j = 0; j < Problem::WN / 8; ++j) sums[i][j][0] = sums[i][j][1] = 0;
  }

  void add(const unsigned char* shared, int x, int w) {
    unsigned inputs[Problem::WM / 8], stored[Problem::WN / 8], weights[Problem::WN / 8];
#pragma unroll
    for (int chunk = 0; chunk < Shape::X_CHUNKS; ++chunk) {
      load<Shape::X_CHUNKS>(inputs, shared + turned(x, chunk));
      if (!Shape::PACKED)
        load<Shape::W_CHUNKS>(stored, shared + turned(w, chunk));
      else if (chunk % 2 == 0)
        load<Shape::W_CHUNKS>(stored, shared + turned(w, chunk / 2));
#pragma unroll
      for (int j = 0; j < Problem::WN / 8; ++j) weights[j] = unpacked(stored[j], chunk);
      if constexpr (Problem::BITS == 8)
        mma_m8n8k16_tile<Problem::UNSIGNED>(sums, inputs, weights);
      else
        mma_m8n8k32_tile<Problem::UNSIGNED>(sums, inputs, weights);
    }
  }

  // One chunk of 8 * EIGHTHS rows, 32 rows an instruction.
  template <int CHUNKS, int EIGHTHS>
  static void load(unsigned (&to)[EIGHTHS], const unsigned char* from) {
#pragma unroll
    for (int i = 0; i < EIGHTHS; i += 4) {
      unsigned tile[4];
      ldmatrix_x4(tile, from + i * 8 * CHUNKS * CHUNK);
#pragma unroll
      for (int e = 0; e < 4; ++e) to[i + e] = tile[e];
    }
  }

  static unsigned unpacked(unsigned weights, int chunk) {
    if (!Shape::PACKED) return weights;
    return (chunk % 2 == 0 ? weights << 4 : weights) & HIGH_NIBBLES;
  }

  // The lane's sums in the warp's rows 8 * i .. 8 * i + 7 and columns 8 * j .. 8 * j + 7.
  uint2 pair(int i, int j) const {
    return make_uint2((unsigned)sums[i][j][0], (unsigned)sums[i][j][1]);
  }
};

// m16n8: a fragment is 4 sums, two of row lane / 4 and two of the row 8 below; k by two chunks.
template <class Problem>
struct Products80 {
  using Shape = Tile<Problem>;
  int sums[Problem::WM / 16][Problem::WN / 8][4];

  // Tiles in the order of the registers: rows 0-7, rows 8-15, and both again one chunk on.
  static int lane_x(unsigned lane) { return swizzle<Shape::X_CHUNKS>(lane % 16, lane / 16); }

  // Columns 0-7, the same one chunk on, and both again for columns 8-15. Packed: columns 0-31.
  static int lane_w(unsigned lane) {
    if (Shape::PACKED) return swizzle<Shape::W_CHUNKS>(lane, 0);
    return swizzle<Shape::W_CHUNKS>(lane % 8 + lane / 16 * 8, lane / 8 % 2);
  }

  void clear() {
#pragma unroll
    for (int i = 0; i < Problem::WM / 16; ++i)
#pragma unroll
      for (int j = 0; j < Problem::WN / 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) sums[i][j][e] = 0;
  }

  void add(const unsigned char* shared, int x, int w) {
    unsigned inputs[2][Problem::WM / 16][4], weights[2][Problem::WN / 8][2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if constexpr (Shape::PACKED)
        load_packed(weights[half], shared + turned(w, half));
      else
        load(weights[half], shared + turned(w, 2 * half));
#pragma unroll
      for (int i = 0; i < Problem::WM / 16; ++i)
        ldmatrix_x4(inputs[half][i], shared + turned(x, 2 * half) + i * 16 * STEP);
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if constexpr (Problem::BITS == 8)
        mma_m16n8k32_tile<Problem::UNSIGNED>(sums, inputs[half], weights[half]);
      else
        mma_m16n8k64_tile<Problem::UNSIGNED>(sums, inputs[half], weights[half]);
    }
  }

  static void load(unsigned (&to)[Problem::WN / 8][2], const unsigned char* from) {
#pragma unroll
    for (int j = 0; j < Problem::WN / 8; j += 2) {
      unsigned tile[4];
      ldmatrix_x4(tile, from + j * 8 * STEP);
#pragma unroll
      for (int e = 0; e < 4; ++e) to[j + e / 2][e % 2] = tile[e];
    }
  }

  static void load_packed(unsigned (&to)[Problem::WN / 8][2], const unsigned char* from) {
#pragma unroll
    for (int j = 0; j < Problem::WN / 8; j += 4) {
      unsigned tile[4];
      ldmatrix_x4(tile, from + j * 8 * Shape::W_CHUNKS * CHUNK);
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        to[j + e][0] = tile[e] << 4 & HIGH_NIBBLES;
        to[j + e][1] = tile[e] & HIGH_NIBBLES;
      }
    }
  }

  uint2 pair(int i, int j) const {
    const int (&sum)[4] = sums[i / 2][j];
    return i % 2 == 0 ? make_uint2((unsigned)sum[0], (unsigned)sum[1])
                      : make_uint2((unsigned)sum[2], (unsigned)sum[3]);
  }
};

}  // namespace qc
