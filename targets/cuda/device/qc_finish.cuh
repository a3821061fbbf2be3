// From the sums in a warp's fragments to runs of 8 channels of one place, without leaving the lane.
//
// A fragment gives a lane two neighbours of 8 columns; four fragments beside each other give it
// eight columns that do not lie together. Weights are packed so that they do (targets/cuda/
// packing.py): of 32 stored rows, row j * 8 + q * 2 + e is channel q * 8 + j * 2 + e. So lane q of
// four holds channels q * 8 .. q * 8 + 7 of a place, and the four lanes store 32 neighbours. What
// finishing reads by channel is the same for all places of a lane: it is read once.
#pragma once
#include "qc_products.cuh"

namespace qc {

// The tile of a warp among all results.
struct Results {
  int split, m, n;
};

// Places beyond the last are computed as the last one and not stored, so that nothing waits behind
// a branch.
template <class Problem, class Products>
void hand_over(const Products& products, const Problem& problem, const Results& to,
               unsigned lane) {
  constexpr bool WHOLE = Problem::M % Problem::BM == 0;
  constexpr int SHIFT = Tile<Problem>::PACKED ? PACKED_SHIFT : 0;
#pragma unroll
  for (int wide = 0; wide < Problem::WN / 32; ++wide) {
    const int n = to.n + wide * 32 + lane % 4 * RUN;
    if (n < Problem::N_STORED) {
#pragma unroll
      for (int i = 0; i < Problem::WM / 8; ++i) {
        const int m = to.m + i * 8 + lane / 4;
        const bool inside = WHOLE || m < Problem::M;
        const int place = WHOLE ? m : min(m, Problem::M - 1);
        if (place < 0) __builtin_unreachable();
        int run[RUN];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const uint2 pair = products.pair(i, wide * 4 + j);
          run[j * 2] = (int)pair.x >> SHIFT;
          run[j * 2 + 1] = (int)pair.y >> SHIFT;
        }
        problem.finish(place, n, to.split, inside, run);
      }
    }
  }
}

}  // namespace qc
