// Integer matrix products on the registers of a warp.
//
// Lane l = 4g + q holds row g of A and column g of B, bytes 4q…4q+3 of each 16-byte group along k,
// and the sums of row g, columns 2q and 2q+1. Registers of A are ordered [k group][8-row half].
#include <cstring>

#include "qc_runtime.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qc_emulated {

struct Operands {
  int* c;
  const unsigned *a, *b;
};

// Two elements that lie 16 bits apart in a register.
struct Pair {
  int16_t low, high;
};

// A 4-byte register gives 2 pairs of bytes or 4 of nibbles; element `part` of each 16-bit half.
template <int BITS, bool UNSIGNED>
static Pair pair(uint32_t word, int part) {
  const int up = 16 - BITS * (part + 1), down = 16 - BITS;
  const uint16_t low = static_cast<uint16_t>(word << up);
  const uint16_t high = static_cast<uint16_t>(word >> 16 << up);
  if (UNSIGNED) return {static_cast<int16_t>(low >> down), static_cast<int16_t>(high >> down)};
  return {static_cast<int16_t>(static_cast<int16_t>(low) >> down),
          static_cast<int16_t>(static_cast<int16_t>(high) >> down)};
}

// The order of elements along k does not matter, as long as A and B share it.
template <int PAIRS>
static void definition(int (*sums)[8], const Pair (*a)[8], const Pair (*b)[8]) {
  for (int row = 0; row < 8; row++)
    for (int column = 0; column < 8; column++) sums[row][column] = 0;
  for (int k = 0; k < PAIRS; k++)
    for (int row = 0; row < 8; row++)
      for (int column = 0; column < 8; column++)
        sums[row][column] += a[k][row].low * b[k][column].low + a[k][row].high * b[k][column].high;
}

#if defined(__x86_64__)
template <int PAIRS>
__attribute__((target("avx2"))) static void avx2(int (*sums)[8], const Pair (*a)[8],
                                                 const Pair (*b)[8]) {
  __m256i rows[8];
  for (__m256i& row : rows) row = _mm256_setzero_si256();
  for (int k = 0; k < PAIRS; k++) {
    const __m256i columns = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b[k]));
    for (int row = 0; row < 8; row++) {
      int both;
      std::memcpy(&both, &a[k][row], 4);
      rows[row] = _mm256_add_epi32(rows[row], _mm256_madd_epi16(_mm256_set1_epi32(both), columns));
    }
  }
  for (int row = 0; row < 8; row++)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums[row]), rows[row]);
}
#endif

template <int PAIRS>
static void multiply_pairs(int (*sums)[8], const Pair (*a)[8], const Pair (*b)[8]) {
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("avx2");
  if (fast && settings.vectors) return avx2<PAIRS>(sums, a, b);
#endif
  definition<PAIRS>(sums, a, b);
}

template <int HALVES, int GROUPS, int BITS, bool UNSIGNED>
struct Multiplication {
  static constexpr int PARTS = 16 / BITS, PAIRS = 4 * GROUPS * PARTS;

  template <bool OPERAND_UNSIGNED>
  static void spread(Pair (*pairs)[8], int lane, int group, uint32_t word) {
    for (int part = 0; part < PARTS; part++)
      pairs[(group * 4 + (lane & 3)) * PARTS + part][lane >> 2] =
          pair<BITS, OPERAND_UNSIGNED>(word, part);
  }

  static void add(const Operands* const* operands, int at, const int (*sums)[8]) {
    for (int lane = 0; lane < 32; lane++) {
      const int* sum = &sums[lane >> 2][2 * (lane & 3)];
      int* c = operands[lane]->c + at;
      c[0] = static_cast<int>(static_cast<unsigned>(c[0]) + static_cast<unsigned>(sum[0]));
      c[1] = static_cast<int>(static_cast<unsigned>(c[1]) + static_cast<unsigned>(sum[1]));
    }
  }

  static void perform(Block& block, Warp& warp, const void* instruction) {
    const Product& product = *static_cast<const Product*>(instruction);
    require_whole_warp(warp, product.name);
    const auto operands = reinterpret_cast<const Operands* const*>(warp.operands);
    const auto columns = reinterpret_cast<Pair(*)[PAIRS][8]>(block.columns);
    for (int j = 0; j < product.columns; j++)
      for (int lane = 0; lane < 32; lane++)
        for (int group = 0; group < GROUPS; group++)
          spread<false>(columns[j], lane, group, operands[lane]->b[j * GROUPS + group]);
    for (int i = 0; i < product.rows * HALVES; i++) {
      const int fragment = i / HALVES, half = i % HALVES;
      Pair rows[PAIRS][8];
      for (int lane = 0; lane < 32; lane++)
        for (int group = 0; group < GROUPS; group++)
          spread<UNSIGNED>(rows, lane, group,
                           operands[lane]->a[(fragment * GROUPS + group) * HALVES + half]);
      for (int j = 0; j < product.columns; j++) {
        int sums[8][8];
        multiply_pairs<PAIRS>(sums, rows, columns[j]);
        add(operands, ((fragment * product.columns + j) * HALVES + half) * 2, sums);
      }
    }
    block.counters[PRODUCTS] +=
        static_cast<uint64_t>(product.rows) * static_cast<uint64_t>(product.columns);
  }
};

template <int HALVES, int GROUPS, int BITS>
static Perform performer(bool unsigned_rows) {
  return unsigned_rows ? Multiplication<HALVES, GROUPS, BITS, true>::perform
                       : Multiplication<HALVES, GROUPS, BITS, false>::perform;
}

void multiply(const Product& product, int* c, const unsigned* a, const unsigned* b) {
  Operands mine{c, a, b};
  Perform perform;
  if (product.halves == 1)
    perform = product.bits == 8 ? performer<1, 1, 8>(product.unsigned_rows)
                                : performer<1, 1, 4>(product.unsigned_rows);
  else
    perform = product.bits == 8 ? performer<2, 2, 8>(product.unsigned_rows)
                                : performer<2, 2, 4>(product.unsigned_rows);
  meet(&product, product.name, &mine, perform);
}

}  // namespace qc_emulated
