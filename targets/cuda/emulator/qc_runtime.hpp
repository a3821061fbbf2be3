// The runtime's own view: lanes are fibers, 32 of them a warp, warps a block; one block a worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "qc_abi.hpp"

namespace qc_emulated {

struct Warp;
struct Block;

// A cp.async that has been issued and has not landed.
struct Copy {
  unsigned char* shared;
  const unsigned char* global;
  bool copy;
};

// A plain access to shared memory, matched across the lanes of a warp by line and occurrence.
struct Access {
  uint32_t offset;
  uint16_t bytes;
  uint16_t occurrence;
  int line;
};

struct Lane : Thread {
  void* stack_pointer;
  unsigned char* stack;  // lowest byte
  Warp* warp;
  int line;  // of the barrier it waits at
  std::vector<Copy> copies;
  std::vector<size_t> groups;  // ends of the committed groups in `copies`
  std::vector<Access> accesses;
};

struct Warp {
  Lane* lanes;
  Block* block;
  uint32_t everyone, alive, runnable, arrived;  // a bit for each lane
  const void* instruction;                      // which one the arrived lanes have come to
  const char* name;
  void* operands[32];  // of that instruction, in each lane
  unsigned count;
  unsigned accesses;  // plain ones to shared memory, not yet counted
};

// How threads take turns: a missing barrier shows in one of them. In `RANDOM_EARLY` asynchronous
// copies land when issued, in the others only when waited for.
enum Order { ASCENDING, DESCENDING, RANDOM_EARLY, RANDOM_LATE };

enum Counter {
  SWITCHES,
  MATRICES,
  MATRIX_CONFLICTS,
  PRODUCTS,
  ACCESSES,
  ACCESS_CONFLICTS,
  COPIES,
  LAUNCHES,
  COUNTERS
};

struct Block {
  std::vector<Lane> lanes;
  std::vector<Warp> warps;
  Order order;
  uint32_t random;
  Warp* turn;  // ran last
  unsigned alive, waiting;
  void* host_stack_pointer;
  unsigned char* shared;
  size_t shared_size;
  const Kernel* kernel;
  void** arguments;
  std::string error;
  bool misaligned;
  uint64_t counters[COUNTERS];
  uint32_t columns[MOST_COLUMNS * 32 * 8];  // of a product, too large for a lane's stack
  const void* host_stack;                   // for the address sanitizer
  size_t host_stack_size;
};

inline Lane& self() { return *static_cast<Lane*>(current()); }
inline Block& running_block() { return *self().warp->block; }
inline std::string triple(const Coordinates& at) {
  return "(" + std::to_string(at.x) + "," + std::to_string(at.y) + "," + std::to_string(at.z) + ")";
}
inline uint32_t bit(const Lane& lane) { return 1u << lane.lane; }
inline uint32_t next_random(Block& block) {
  block.random ^= block.random << 13;
  block.random ^= block.random >> 17;
  return block.random ^= block.random << 5;
}

// fibers
void prepare_stack(Lane& lane, void (*entry)());
void switch_lanes(Lane& from, Lane& to);
[[noreturn]] void leave_block(Lane& from);
void switch_from_host(Block& block, Lane& to);
void fiber_started();

// blocks
void run_block(Block& block);
void suspend(Block& block, Lane& me);
[[noreturn]] void fail(const std::string& message);

// warps: `perform` runs once, on the last lane to arrive, when all lanes have come to `instruction`
using Perform = void (*)(Block& block, Warp& warp, const void* instruction);
void meet(const void* instruction, const char* name, void* operands, Perform perform);
void require_whole_warp(const Warp& warp, const char* name);
void count_pending(Block& block, Warp& warp);
inline void count_accesses(Block& block, Warp& warp) {
  if (warp.accesses != 0) count_pending(block, warp);
}
uint32_t shared_offset(const Block& block, const void* pointer, unsigned bytes, const char* what);

// launches
struct Shape {
  unsigned grid[3], block[3], shared;
};
struct Settings {
  int order = ASCENDING;
  unsigned seed = 1;
  unsigned threads = 2;
  bool vectors = true;  // off: products by their definition
};
enum Outcome { DONE, FAILED, ILLEGAL_ADDRESS, MISALIGNED_ADDRESS };
Outcome launch(const Kernel& kernel, const Shape& shape, void** arguments, std::string& error);
const Kernel* find_kernel(const char* name);
extern Settings settings;
void read_counters(uint64_t* values);
void reset_counters();

}  // namespace qc_emulated
