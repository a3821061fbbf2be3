// The emulator's own entry points: settings, counters, and a launch without a driver.
#include <cstdio>

#include "qc_memory.hpp"
#include "qc_runtime.hpp"

#define EXPORT extern "C" __attribute__((visibility("default")))

using namespace qc_emulated;

EXPORT void qcemu_set_order(int order) { settings.order = order < 0 || order > 3 ? 0 : order; }
EXPORT void qcemu_set_seed(unsigned seed) { settings.seed = seed; }
EXPORT void qcemu_set_threads(int threads) {
  settings.threads = threads < 1 ? 1 : static_cast<unsigned>(threads);
}
// 0: products by their definition, whatever the processor has.
EXPORT void qcemu_set_vectors(int vectors) { settings.vectors = vectors != 0; }

// switches, matrices, matrix conflicts, products, accesses, access conflicts, copies, launches
EXPORT void qcemu_stats(uint64_t* values) { read_counters(values); }
EXPORT void qcemu_reset_stats() { reset_counters(); }

// Device memory: 0xA5 everywhere, ends at a page that nobody may touch.
EXPORT void* qcemu_allocate(size_t size) { return guarded_allocate(size, 16); }
EXPORT void qcemu_free(void* pointer, size_t size) {
  guarded_free(static_cast<unsigned char*>(pointer), size, 16);
}

// 0, or an `Outcome`; the message goes to `message`.
EXPORT int qcemu_launch(const char* name, const unsigned* grid, const unsigned* block,
                        unsigned shared, void** arguments, char* message, int size) {
  const Kernel* kernel = find_kernel(name);
  std::string error = std::string("no kernel ") + name + " in this library";
  Outcome outcome = FAILED;
  if (kernel != nullptr) {
    const Shape shape = {{grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, shared};
    outcome = launch(*kernel, shape, arguments, error);
  }
  std::snprintf(message, static_cast<size_t>(size), "%s", error.c_str());
  return outcome;
}
