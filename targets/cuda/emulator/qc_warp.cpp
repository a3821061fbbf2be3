// Shuffles and votes: the last lane to arrive works on the registers of all lanes.
#include "qc_runtime.hpp"

namespace qc_emulated {

void require_whole_warp(const Warp& warp, const char* name) {
  if (warp.count != 32)
    fail(std::string(name) + " in a warp of " + std::to_string(warp.count) + " lanes");
}

static const char SYNC = 0, SHUFFLE = 0, BALLOT = 0;

void sync_warp() {
  meet(&SYNC, "__syncwarp", nullptr, [](Block&, Warp&, const void*) {});
}

struct Shuffle {
  unsigned value, source, result;
};

unsigned shuffle(unsigned value, unsigned source_lane) {
  Shuffle mine{value, source_lane, 0};
  meet(&SHUFFLE, "a shuffle", &mine, [](Block&, Warp& warp, const void*) {
    for (unsigned i = 0; i < warp.count; i++) {
      auto& to = *static_cast<Shuffle*>(warp.operands[i]);
      if (to.source >= warp.count) fail("a shuffle from a lane that does not exist");
      to.result = static_cast<Shuffle*>(warp.operands[to.source])->value;
    }
  });
  return mine.result;
}

struct Ballot {
  bool vote;
  unsigned result;
};

unsigned ballot(bool vote) {
  Ballot mine{vote, 0};
  meet(&BALLOT, "a vote", &mine, [](Block&, Warp& warp, const void*) {
    unsigned votes = 0;
    for (unsigned i = 0; i < warp.count; i++)
      votes |= static_cast<unsigned>(static_cast<Ballot*>(warp.operands[i])->vote) << i;
    for (unsigned i = 0; i < warp.count; i++)
      static_cast<Ballot*>(warp.operands[i])->result = votes;
  });
  return mine.result;
}

}  // namespace qc_emulated
