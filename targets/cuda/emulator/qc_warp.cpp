// What a warp does together. The last lane to arrive works on the registers of all lanes.
#include <cstring>

#include "qc_runtime.hpp"

namespace qc_emulated {

void meet(const void* instruction, const char* name, void* operands, Perform perform) {
  Block& block = *running;
  Lane& me = self();
  Warp& warp = *me.warp;
  me.operands = operands;
  if (warp.arrived == 0) {
    warp.instruction = instruction;
    warp.name = name;
  } else if (warp.instruction != instruction) {
    fail(std::string("lanes of one warp came to different warp instructions: ") + warp.name +
         " and " + name);
  }
  warp.arrived |= bit(me);
  if (warp.arrived == warp.alive) {
    const uint32_t everyone = warp.count == 32 ? ~0u : (1u << warp.count) - 1;
    if (warp.alive != everyone)
      fail(std::string(name) + " in a warp that some lanes have left");
    count_accesses(block, warp);
    perform(block, warp, instruction);
    warp.arrived = 0;
    warp.runnable = warp.alive;
    return;
  }
  warp.runnable &= ~bit(me);
  suspend();
}

void require_whole_warp(const Warp& warp, const char* name) {
  if (warp.count != 32) fail(std::string(name) + " in a warp of " + std::to_string(warp.count) + " lanes");
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
      auto& to = *static_cast<Shuffle*>(warp.lanes[i].operands);
      if (to.source >= warp.count) fail("a shuffle from a lane that does not exist");
      to.result = static_cast<Shuffle*>(warp.lanes[to.source].operands)->value;
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
      votes |= static_cast<unsigned>(static_cast<Ballot*>(warp.lanes[i].operands)->vote) << i;
    for (unsigned i = 0; i < warp.count; i++)
      static_cast<Ballot*>(warp.lanes[i].operands)->result = votes;
  });
  return mine.result;
}

}  // namespace qc_emulated
