// A block: its lanes take turns until they meet at a barrier or a warp instruction.
#include <cstring>

#include "qc_runtime.hpp"

namespace qc_emulated {

__thread Thread* current = nullptr;
__thread Block* running = nullptr;

static Lane* lowest(Block& block) {
  const unsigned count = static_cast<unsigned>(block.warps.size());
  for (unsigned i = 0; i < count; i++) {
    Warp& warp = block.warps[(block.turn + i) % count];
    if (warp.runnable == 0) continue;
    block.turn = (block.turn + i) % count;
    return &warp.lanes[__builtin_ctz(warp.runnable)];
  }
  return nullptr;
}

static Lane* highest(Block& block) {
  const unsigned count = static_cast<unsigned>(block.warps.size());
  for (unsigned i = 0; i < count; i++) {
    Warp& warp = block.warps[(block.turn + count - i) % count];
    if (warp.runnable == 0) continue;
    block.turn = (block.turn + count - i) % count;
    return &warp.lanes[31 - __builtin_clz(warp.runnable)];
  }
  return nullptr;
}

static Lane* any(Block& block) {
  const uint32_t random = next_random(block);
  const unsigned count = static_cast<unsigned>(block.warps.size());
  for (unsigned i = 0; i < count; i++) {
    Warp& warp = block.warps[((random >> 8) + i) % count];
    if (warp.runnable == 0) continue;
    const unsigned turned = random & 31;
    const uint32_t mask = warp.runnable >> turned | warp.runnable << (-turned & 31);
    return &warp.lanes[(static_cast<unsigned>(__builtin_ctz(mask)) + turned) & 31];
  }
  return nullptr;
}

static void release_barrier(Block& block) {
  block.waiting = 0;
  for (Warp& warp : block.warps) {
    count_accesses(block, warp);
    warp.runnable = warp.alive;
  }
}

[[noreturn]] void fail(const std::string& message) {
  if (running->error.empty()) running->error = message;
  for (;;) switch_to_host(self());
}

static std::string place(const Lane& lane) {
  return "thread (" + std::to_string(lane.thread.x) + "," + std::to_string(lane.thread.y) + "," +
         std::to_string(lane.thread.z) + ")";
}

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
void suspend() {
  Block& block = *running;
  Lane& me = self();
  Lane* next = block.choose(block);
  if (next == nullptr) fail(deadlock(block));
  if (next != &me) switch_lanes(me, *next);
}

void sync_threads(int line) {
  Block& block = *running;
  Lane& me = self();
  me.line = line;
  if (++block.waiting == block.alive) {
    release_barrier(block);
    return;
  }
  me.warp->runnable &= ~bit(me);
  suspend();
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
  if (block.alive == 0) switch_to_host(me);
  suspend();
}

static void lane_main() {
  fiber_started();
  Block& block = *running;
  block.kernel->call(block.kernel->function, block.arguments);
  leave(block, self());
  __builtin_unreachable();
}

static void start_lanes(Block& block) {
  for (Warp& warp : block.warps) {
    warp.alive = warp.runnable = warp.count == 32 ? ~0u : (1u << warp.count) - 1;
    warp.arrived = 0;
  }
  for (Lane& lane : block.lanes) {
    lane.copies.clear();
    lane.groups.clear();
    lane.accesses.clear();
    prepare_stack(lane, STACK_SIZE, lane_main);
  }
}

void run_block(Block& block) {
  static Lane* (*const choices[])(Block&) = {lowest, highest, any, any};
  block.choose = choices[block.order];
  block.turn = block.order == DESCENDING ? static_cast<unsigned>(block.warps.size()) - 1 : 0;
  block.alive = static_cast<unsigned>(block.lanes.size());
  block.waiting = 0;
  block.host_stack = nullptr;
  block.error.clear();
  block.misaligned = false;
  if (block.shared_size != 0) std::memset(block.shared, 0xA5, block.shared_size);
  start_lanes(block);
  running = &block;
  switch_from_host(block, *block.choose(block));
  running = nullptr;
}

}  // namespace qc_emulated
