// Integer matrix products on the registers of a warp.
//
// Lane l = 4g + q holds row g of A and column g of B, bytes 4q…4q+3 of each 16-byte group along k, and
// the sums of row g, columns 2q and 2q+1. Registers of A are ordered [k group][8-row half].
#include <cstring>

#include "qc_runtime.hpp"

namespace qc_emulated {

struct Operands {
  int* c;
  const unsigned *a, *b;
};

template <int BITS, bool UNSIGNED>
static int element(unsigned word, int index) {
  const unsigned shifted = word << (32 - BITS * (index + 1));
  return UNSIGNED ? static_cast<int>(shifted >> (32 - BITS)) : static_cast<int>(shifted) >> (32 - BITS);
}

// One 8×8 block of sums over K elements: c[row][column] += Σ a[row][k]·b[k][column], wrapping.
template <int K>
static void block_product(int (&c)[8][8], const int16_t (&a)[8][K], const int16_t (&b)[K / 2][8][2]) {
  for (int row = 0; row < 8; row++)
    for (int k = 0; k < K / 2; k++)
      for (int column = 0; column < 8; column++)
        c[row][column] = static_cast<int>(
            static_cast<unsigned>(c[row][column]) +
            static_cast<unsigned>(a[row][2 * k] * b[k][column][0] + a[row][2 * k + 1] * b[k][column][1]));
}

template <int HALVES, int GROUPS, int BITS, bool UNSIGNED>
static void product_of(Block& block, Warp& warp, const void* instruction) {
  const Product& product = *static_cast<const Product*>(instruction);
  require_whole_warp(warp, product.name);
  constexpr int PER_WORD = 32 / BITS, K = 4 * PER_WORD * GROUPS;
  int16_t a[8][K];
  auto b = reinterpret_cast<int16_t (*)[K / 2][8][2]>(block.columns);
  int c[8][8];
  const Operands* operands[32];
  for (int lane = 0; lane < 32; lane++)
    operands[lane] = static_cast<const Operands*>(warp.lanes[lane].operands);
  for (int j = 0; j < product.columns; j++)
    for (int lane = 0; lane < 32; lane++)
      for (int group = 0; group < GROUPS; group++)
        for (int i = 0; i < PER_WORD; i++) {
          const int k = (group * 4 + (lane & 3)) * PER_WORD + i;
          b[j][k / 2][lane >> 2][k % 2] = static_cast<int16_t>(
              element<BITS, false>(operands[lane]->b[j * GROUPS + group], i));
        }
  for (int i = 0; i < product.rows; i++)
    for (int half = 0; half < HALVES; half++) {
      for (int lane = 0; lane < 32; lane++)
        for (int group = 0; group < GROUPS; group++)
          for (int e = 0; e < PER_WORD; e++)
            a[lane >> 2][(group * 4 + (lane & 3)) * PER_WORD + e] = static_cast<int16_t>(
                element<BITS, UNSIGNED>(operands[lane]->a[(i * GROUPS + group) * HALVES + half], e));
      for (int j = 0; j < product.columns; j++) {
        const int at = ((i * product.columns + j) * HALVES + half) * 2;
        for (int lane = 0; lane < 32; lane++)
          std::memcpy(&c[lane >> 2][2 * (lane & 3)], operands[lane]->c + at, 8);
        block_product<K>(c, a, b[j]);
        for (int lane = 0; lane < 32; lane++)
          std::memcpy(operands[lane]->c + at, &c[lane >> 2][2 * (lane & 3)], 8);
      }
    }
  block.counters[PRODUCTS] += static_cast<uint64_t>(product.rows) * static_cast<uint64_t>(product.columns);
}

static Perform perform(const Product& product) {
  if (product.halves == 1 && product.bits == 8)
    return product.unsigned_rows ? product_of<1, 1, 8, true> : product_of<1, 1, 8, false>;
  if (product.halves == 1)
    return product.unsigned_rows ? product_of<1, 1, 4, true> : product_of<1, 1, 4, false>;
  if (product.bits == 8)
    return product.unsigned_rows ? product_of<2, 2, 8, true> : product_of<2, 2, 8, false>;
  return product.unsigned_rows ? product_of<2, 2, 4, true> : product_of<2, 2, 4, false>;
}

void multiply(const Product& product, int* c, const unsigned* a, const unsigned* b) {
  Operands mine{c, a, b};
  meet(&product, product.name, &mine, perform(product));
}

}  // namespace qc_emulated
