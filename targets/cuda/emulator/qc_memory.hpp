// Memory whose last byte lies before a page that nobody may touch.
#pragma once

#include <cstddef>

namespace qc_emulated {

// `size` bytes filled with 0xA5, aligned to `alignment` (a power of two up to a page), between guard
// pages; the end is as near to the upper one as the alignment allows. Null when there is no memory.
unsigned char* guarded_allocate(size_t size, size_t alignment);
void guarded_free(unsigned char* pointer, size_t size, size_t alignment);

}  // namespace qc_emulated
