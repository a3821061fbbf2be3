// What kernels and the emulator's runtime agree on: the running thread, the instructions that a
// whole warp or block carries out, and the list of kernels.
#pragma once

#define QC_HIDDEN __attribute__((visibility("hidden")))

namespace qc_emulated {

// ---- the running thread

struct Coordinates {
  unsigned x, y, z;
};
struct Thread {
  Coordinates thread, block, block_size, grid;
  unsigned lane;
  unsigned char* shared;
};

// A stack is aligned to its size and begins, near the upper end, under a pointer to its thread:
// found without thread-local storage, of which a process has little for libraries that it opens
// late. Neighbours begin at different distances from the end, or their busiest lines share few
// cache sets.
#if defined(__SANITIZE_ADDRESS__)
constexpr unsigned long STACK_SIZE = 256 * 1024;  // instrumented frames are several times larger
#else
constexpr unsigned long STACK_SIZE = 64 * 1024;
#endif
constexpr unsigned long STACK_GUARD = 4096;  // its lowest bytes are out of bounds
inline Thread** thread_of_stack(unsigned long address) {
  return reinterpret_cast<Thread**>((address | (STACK_SIZE - 1)) + 1 - 64 -
                                    address / STACK_SIZE * 448 % 4096);
}
inline Thread* current() {
  return *thread_of_stack(reinterpret_cast<unsigned long>(__builtin_frame_address(0)));
}

// ---- what the runtime does for a whole warp or block

constexpr int MOST_COLUMNS = 32;  // fragments in a tile's row

// One matrix instruction over a tile of `rows`×`columns` fragments.
struct Product {
  const char* name;
  int halves;  // 8-row halves of a fragment: 1 for m8, 2 for m16
  int groups;  // 16-byte groups along k: 1 or 2
  int bits;    // 8 or 4
  bool unsigned_rows;
  int rows, columns;
};
QC_HIDDEN void multiply(const Product& product, int* c, const unsigned* a, const unsigned* b);
QC_HIDDEN void load_matrices(unsigned* registers, const void* row, int matrices);
QC_HIDDEN void copy_async(void* shared, const void* global, bool copy);
QC_HIDDEN void commit_async();
QC_HIDDEN void wait_async(unsigned groups_left);
QC_HIDDEN void shared_access(const void* shared, unsigned bytes, int line);
QC_HIDDEN void sync_threads(int line);
QC_HIDDEN void sync_warp();
QC_HIDDEN unsigned shuffle(unsigned value, unsigned source_lane);
QC_HIDDEN unsigned ballot(bool vote);
[[noreturn]] QC_HIDDEN void trap();

// ---- kernels are found by name

struct Kernel {
  const char* name;
  void (*call)(void (*function)(), void** arguments);
  void (*function)();
  unsigned parameters;
  const unsigned* sizes;
  Kernel* next;
};
extern QC_HIDDEN Kernel* kernels;

}  // namespace qc_emulated
