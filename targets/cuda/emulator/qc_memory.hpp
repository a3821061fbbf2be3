// Memory whose last byte lies before a page that nobody may touch.
#pragma once

#include <cstddef>
#include <string>

namespace qc_emulated {

// `size` bytes filled with 0xA5, aligned to `alignment` (a power of two up to a page), between
// guard pages; the end is as near to the upper one as the alignment allows. Null when there is no
// memory.
unsigned char* guarded_allocate(size_t size, size_t alignment);
void guarded_free(unsigned char* pointer, size_t size, size_t alignment);

// Where an address that nobody may touch lies, by the nearest allocation.
std::string guarded_place(const void* address);

}  // namespace qc_emulated
