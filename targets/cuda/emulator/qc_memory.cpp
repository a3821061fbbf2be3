#include "qc_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

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

std::string guarded_place(const void*) { return "an address out of bounds"; }

#else

static size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }
// Only address space: wide enough that a wrong index of a usual tensor stays within.
static constexpr size_t GUARD = size_t{256} << 20;

static std::mutex lock;
static std::map<uintptr_t, size_t> allocations;

static size_t inner_size(size_t size, size_t alignment) {
  return round_up(round_up(size, alignment), static_cast<size_t>(sysconf(_SC_PAGESIZE)));
}

unsigned char* guarded_allocate(size_t size, size_t alignment) {
  const size_t inner = inner_size(size, alignment);
  void* base = mmap(nullptr, inner + 2 * GUARD, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  unsigned char* first = static_cast<unsigned char*>(base) + GUARD;
  if (mprotect(first, inner, PROT_READ | PROT_WRITE) != 0) {
    munmap(base, inner + 2 * GUARD);
    return nullptr;
  }
  std::memset(first, 0xA5, inner);
  unsigned char* pointer = first + inner - round_up(size, alignment);
  const std::lock_guard<std::mutex> hold(lock);
  allocations[reinterpret_cast<uintptr_t>(pointer)] = size;
  return pointer;
}

void guarded_free(unsigned char* pointer, size_t size, size_t alignment) {
  const size_t inner = inner_size(size, alignment);
  unsigned char* first = pointer + round_up(size, alignment) - inner;
  const std::lock_guard<std::mutex> hold(lock);
  allocations.erase(reinterpret_cast<uintptr_t>(pointer));
  munmap(first - GUARD, inner + 2 * GUARD);
}

std::string guarded_place(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  if (address == 0) return "a null pointer, or a vector that is not aligned";
  const std::lock_guard<std::mutex> hold(lock);
  const auto next = allocations.upper_bound(address);
  if (next != allocations.begin()) {
    const auto& [base, size] = *std::prev(next);
    if (address - base - size < GUARD)
      return "byte " + std::to_string(address - base) + " of " + std::to_string(size);
  }
  if (next != allocations.end() && next->first - address <= GUARD)
    return "byte -" + std::to_string(next->first - address) + " of " + std::to_string(next->second);
  return "an address far from every allocation";
}

#endif

}  // namespace qc_emulated
