// A block: its lanes take turns until they meet at a barrier or a warp instruction, which the last
// lane to arrive carries out.
#include <cstring>

#include "qc_runtime.hpp"

namespace qc_emulated {

// The next warp from the present one, upwards or downwards, that has a lane to run.
static Warp* ready(Block& block, bool downwards) {
  Warp* const first = block.warps.data();
  Warp* const last = first + block.warps.size() - 1;
  Warp* warp = block.turn;
  do {
    if (warp->runnable != 0) return block.turn = warp;
    if (downwards)
      warp = warp == first ? last : warp - 1;
    else
      warp = warp == last ? first : warp + 1;
  } while (warp != block.turn);
  return nullptr;
}

static Lane* any(Block& block) {
  const uint32_t random = next_random(block);
  block.turn = &block.warps[(random >> 8) % block.warps.size()];
  Warp* warp = ready(block, false);
  if (warp == nullptr) return nullptr;
  const unsigned turned = random & 31;
  const uint32_t mask = warp->runnable >> turned | warp->runnable << (-turned & 31);
  return &warp->lanes[(static_cast<unsigned>(__builtin_ctz(mask)) + turned) & 31];
}

static inline Lane* choose(Block& block) {
  if (block.order > DESCENDING) return any(block);
  const bool downwards = block.order == DESCENDING;
  Warp* warp = block.turn->runnable != 0 ? block.turn : ready(block, downwards);
  if (warp == nullptr) return nullptr;
  return &warp->lanes[downwards ? 31 - __builtin_clz(warp->runnable)
                                : __builtin_ctz(warp->runnable)];
}

static void release_barrier(Block& block) {
  block.waiting = 0;
  for (Warp& warp : block.warps) {
    count_accesses(block, warp);
    warp.runnable = warp.alive;
  }
}

[[noreturn]] void fail(const std::string& message) {
  Block& block = running_block();
  if (block.error.empty()) block.error = message;
  leave_block(self());
}

static std::string place(const Lane& lane) { return "thread " + triple(lane.thread); }

// Which lane waits where, said once for each kind of place.
static std::string deadlock(const Block& block) {
  std::string text = "deadlock:";
  const Lane *at_barrier = nullptr, *at_instruction = nullptr;
  for (const Warp& warp : block.warps)
    for (unsigned i = 0; i < warp.count; i++) {
      if ((warp.alive >> i & 1) == 0) continue;
      const bool arrived = (warp.arrived >> i & 1) != 0;
      if (arrived && at_instruction == nullptr) at_instruction = &warp.lanes[i];
      if (!arrived && at_barrier == nullptr) at_barrier = &warp.lanes[i];
    }
  if (at_barrier != nullptr)
    text += " " + place(*at_barrier) + " waits in __syncthreads at line " +
            std::to_string(at_barrier->line);
  if (at_instruction != nullptr)
    text += std::string(at_barrier == nullptr ? " " : ", ") + place(*at_instruction) +
            " waits in " + at_instruction->warp->name;
  return text + "; " + std::to_string(block.alive) + " of " + std::to_string(block.lanes.size()) +
         " threads have not left the kernel";
}

// Gives the turn to a lane that can run; comes back when this lane can.
void suspend(Block& block, Lane& me) {
  Lane* next = choose(block);
  if (next == nullptr) fail(deadlock(block));
  if (next == &me) return;
  block.counters[SWITCHES]++;
  switch_lanes(me, *next);
}

void meet(const void* instruction, const char* name, void* operands, Perform perform) {
  Lane& me = self();
  Warp& warp = *me.warp;
  Block& block = *warp.block;
  warp.operands[me.lane] = operands;
  if (warp.arrived == 0) {
    warp.instruction = instruction;
    warp.name = name;
  } else if (warp.instruction != instruction) {
    fail(std::string("lanes of one warp came to different warp instructions: ") + warp.name +
         " and " + name);
  }
  warp.arrived |= bit(me);
  if (warp.arrived != warp.alive) {
    warp.runnable &= ~bit(me);
    suspend(block, me);
    return;
  }
  if (warp.alive != warp.everyone) fail(std::string(name) + " in a warp that some lanes have left");
  count_accesses(block, warp);
  perform(block, warp, instruction);
  warp.arrived = 0;
  warp.runnable = warp.alive;
}

void sync_threads(int line) {
  Lane& me = self();
  Block& block = *me.warp->block;
  me.line = line;
  if (++block.waiting == block.alive) {
    release_barrier(block);
    return;
  }
  me.warp->runnable &= ~bit(me);
  suspend(block, me);
}

[[noreturn]] void trap() { fail(place(self()) + " came to __trap"); }

static void leave(Block& block, Lane& me) {
  Warp& warp = *me.warp;
  warp.alive &= ~bit(me);
  warp.runnable &= ~bit(me);
  block.alive--;
  if (warp.arrived != 0)
    fail(place(me) + " left the kernel while others of its warp wait in " + warp.name);
  if (warp.alive == 0) count_accesses(block, warp);
  if (block.alive != 0 && block.waiting == block.alive) release_barrier(block);
  if (block.alive == 0) leave_block(me);
  suspend(block, me);
}

static void lane_main() {
  fiber_started();
  Block& block = running_block();
  block.kernel->call(block.kernel->function, block.arguments);
  leave(block, self());
  __builtin_unreachable();
}

static void start_lanes(Block& block) {
  for (Warp& warp : block.warps) {
    warp.alive = warp.runnable = warp.everyone;
    warp.arrived = 0;
    warp.accesses = 0;
  }
  for (Lane& lane : block.lanes) {
    lane.copies.clear();
    lane.groups.clear();
    lane.accesses.clear();
    prepare_stack(lane, lane_main);
  }
}

void run_block(Block& block) {
  block.turn = block.order == DESCENDING ? &block.warps.back() : &block.warps.front();
  block.alive = static_cast<unsigned>(block.lanes.size());
  block.waiting = 0;
  block.host_stack = nullptr;
  block.error.clear();
  block.misaligned = false;
  if (block.shared_size != 0) std::memset(block.shared, 0xA5, block.shared_size);
  start_lanes(block);
  switch_from_host(block, *choose(block));
}

}  // namespace qc_emulated
