// Shared memory: ldmatrix, cp.async, and the bank conflicts of plain accesses.
#include <cstring>

#include "qc_runtime.hpp"

namespace qc_emulated {

uint32_t shared_offset(const Block& block, const void* pointer, unsigned bytes, const char* what) {
  const uintptr_t offset =
      reinterpret_cast<uintptr_t>(pointer) - reinterpret_cast<uintptr_t>(block.shared);
  if (offset >= block.shared_size || offset + bytes > block.shared_size)
    fail(std::string(what) + " outside shared memory: byte " +
         std::to_string(static_cast<intptr_t>(offset)) + " of " +
         std::to_string(block.shared_size));
  if (offset % bytes != 0) {
    running_block().misaligned = true;
    fail(std::string(what) + " at byte " + std::to_string(offset) + ", not a multiple of " +
         std::to_string(bytes));
  }
  return static_cast<uint32_t>(offset);
}

// ---- ldmatrix: matrix m's rows come from lanes 8m…8m+7; lane l gets bytes 4(l%4)… of row l/4

struct Rows {
  unsigned* registers;
  const void* row;
};

template <unsigned MATRICES_READ>
static void load(Block& block, Warp& warp, const void*) {
  require_whole_warp(warp, "ldmatrix");
  for (unsigned m = 0; m < MATRICES_READ; m++) {
    unsigned banks[8] = {}, most = 0;  // groups of four banks, 16 bytes wide
    for (unsigned r = 0; r < 8; r++) {
      const void* row = static_cast<Rows*>(warp.operands[8 * m + r])->row;
      const unsigned count = ++banks[shared_offset(block, row, 16, "ldmatrix") >> 4 & 7];
      if (count > most) most = count;
      unsigned words[4];
      std::memcpy(words, row, 16);
      for (unsigned q = 0; q < 4; q++)
        static_cast<Rows*>(warp.operands[4 * r + q])->registers[m] = words[q];
    }
    block.counters[MATRIX_CONFLICTS] += most - 1;
    block.counters[MATRICES]++;
  }
}

static const char LDMATRIX_X2 = 0, LDMATRIX_X4 = 0;

void load_matrices(unsigned* registers, const void* row, int matrices) {
  Rows mine{registers, row};
  if (matrices == 4)
    meet(&LDMATRIX_X4, "ldmatrix_x4", &mine, load<4>);
  else
    meet(&LDMATRIX_X2, "ldmatrix_x2", &mine, load<2>);
}

// ---- cp.async

static void land(const Copy& copy) {
  if (copy.copy)
    std::memcpy(copy.shared, copy.global, 16);
  else
    std::memset(copy.shared, 0, 16);
}

void copy_async(void* shared, const void* global, bool copy) {
  Block& block = running_block();
  shared_offset(block, shared, 16, "cp.async");
  if (reinterpret_cast<uintptr_t>(global) % 16 != 0) {
    block.misaligned = true;
    fail("cp.async from a global address that is not a multiple of 16");
  }
  block.counters[COPIES]++;
  const Copy mine{static_cast<unsigned char*>(shared), static_cast<const unsigned char*>(global),
                  copy};
  if (block.order == RANDOM_EARLY)
    land(mine);
  else
    self().copies.push_back(mine);
}

void commit_async() { self().groups.push_back(self().copies.size()); }

void wait_async(unsigned groups_left) {
  Lane& me = self();
  if (me.groups.size() <= groups_left) return;
  const size_t finished = me.groups.size() - groups_left;
  const size_t end = me.groups[finished - 1];
  for (size_t i = 0; i < end; i++) land(me.copies[i]);
  me.copies.erase(me.copies.begin(), me.copies.begin() + static_cast<ptrdiff_t>(end));
  me.groups.erase(me.groups.begin(), me.groups.begin() + static_cast<ptrdiff_t>(finished));
  for (size_t& group : me.groups) group -= end;
}

// ---- plain accesses

void shared_access(const void* shared, unsigned bytes, int line) {
  const uint32_t offset = shared_offset(running_block(), shared, bytes, "a shared access");
  std::vector<Access>& accesses = self().accesses;
  uint16_t occurrence = 0;
  for (size_t i = accesses.size(); i-- > 0;)
    if (accesses[i].line == line) {
      occurrence = static_cast<uint16_t>(accesses[i].occurrence + 1);
      break;
    }
  self().warp->accesses++;
  accesses.push_back({offset, static_cast<uint16_t>(bytes), occurrence, line});
}

// The hardware serves 128 bytes at a time: 8 lanes of 16 bytes, 16 of 8, 32 of 4. Lanes of one such
// phase that need different rows of the same bank wait for each other.
static unsigned phase_conflicts(const uint32_t* rows, const bool* present, unsigned first,
                                unsigned lanes, unsigned bytes) {
  const unsigned slots = 128 / bytes;
  unsigned most = 0;
  uint32_t seen[32][32];
  unsigned count[32] = {};
  for (unsigned i = first; i < first + lanes; i++) {
    if (!present[i]) continue;
    const unsigned slot = rows[i] / bytes % slots;
    bool known = false;
    for (unsigned k = 0; k < count[slot]; k++) known |= seen[slot][k] == rows[i];
    if (!known) seen[slot][count[slot]++] = rows[i];
    if (count[slot] > most) most = count[slot];
  }
  return most > 1 ? most - 1 : 0;
}

static void count_access(Block& block, Warp& warp, const Access& access) {
  uint32_t rows[32] = {};
  bool present[32] = {};
  for (unsigned i = 0; i < warp.count; i++)
    for (Access& other : warp.lanes[i].accesses)
      if (other.line == access.line && other.occurrence == access.occurrence && other.bytes != 0) {
        rows[i] = other.offset;
        present[i] = true;
        other.bytes = 0;  // counted
        break;
      }
  const unsigned lanes = 128 / access.bytes;
  block.counters[ACCESSES]++;
  for (unsigned first = 0; first < 32; first += lanes)
    block.counters[ACCESS_CONFLICTS] += phase_conflicts(rows, present, first, lanes, access.bytes);
}

void count_pending(Block& block, Warp& warp) {
  warp.accesses = 0;
  for (unsigned i = 0; i < warp.count; i++)
    for (size_t k = 0; k < warp.lanes[i].accesses.size(); k++) {
      const Access access = warp.lanes[i].accesses[k];
      if (access.bytes != 0) count_access(block, warp, access);
    }
  for (unsigned i = 0; i < warp.count; i++) warp.lanes[i].accesses.clear();
}

}  // namespace qc_emulated
