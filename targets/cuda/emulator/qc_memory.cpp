#include "qc_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace qc_emulated {

#if defined(__SANITIZE_ADDRESS__)

// The sanitizer's own fences are exact to the byte.
unsigned char* guarded_allocate(size_t size, size_t alignment) {
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, size == 0 ? 1 : size) != 0) return nullptr;
  std::memset(memory, 0xA5, size);
  return static_cast<unsigned char*>(memory);
}

void guarded_free(unsigned char* pointer, size_t, size_t) { std::free(pointer); }

#else

static size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }
static size_t guard_size() { return 16 * static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
static size_t inner_size(size_t size, size_t alignment) {
  return round_up(round_up(size, alignment), static_cast<size_t>(sysconf(_SC_PAGESIZE)));
}

unsigned char* guarded_allocate(size_t size, size_t alignment) {
  const size_t guard = guard_size(), inner = inner_size(size, alignment);
  void* base = mmap(nullptr, inner + 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  unsigned char* first = static_cast<unsigned char*>(base) + guard;
  if (mprotect(first, inner, PROT_READ | PROT_WRITE) != 0) {
    munmap(base, inner + 2 * guard);
    return nullptr;
  }
  std::memset(first, 0xA5, inner);
  return first + inner - round_up(size, alignment);
}

void guarded_free(unsigned char* pointer, size_t size, size_t alignment) {
  const size_t guard = guard_size(), inner = inner_size(size, alignment);
  unsigned char* first = pointer + round_up(size, alignment) - inner;
  munmap(first - guard, inner + 2 * guard);
}

#endif

}  // namespace qc_emulated
