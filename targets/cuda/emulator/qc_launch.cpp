// A launch: blocks are dealt to OS threads.
#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>

#include "qc_faults.hpp"
#include "qc_memory.hpp"

namespace qc_emulated {

Kernel* kernels = nullptr;
Settings settings;

static std::atomic<uint64_t> totals[COUNTERS];

const Kernel* find_kernel(const char* name) {
  for (const Kernel* kernel = kernels; kernel != nullptr; kernel = kernel->next)
    if (std::strcmp(kernel->name, name) == 0) return kernel;
  return nullptr;
}

// ---- stacks outlive a launch: making them costs more than most kernels

struct Stacks {
  unsigned char* base = nullptr;
  unsigned char* first = nullptr;
  size_t count = 0;
  explicit Stacks(size_t lanes) : count(lanes) {
    void* memory = mmap(nullptr, (count + 1) * STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return;
    base = static_cast<unsigned char*>(memory);
    first = base + STACK_SIZE - reinterpret_cast<uintptr_t>(base) % STACK_SIZE;
    for (size_t i = 0; i < count; i++) mprotect(stack(i), STACK_GUARD, PROT_NONE);
  }
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;
  ~Stacks() {
    if (base != nullptr) munmap(base, (count + 1) * STACK_SIZE);
  }
  unsigned char* stack(size_t lane) const { return first + lane * STACK_SIZE; }
};

static std::mutex pool_lock;
static std::vector<std::unique_ptr<Stacks>> pool;

static std::unique_ptr<Stacks> take_stacks(size_t lanes) {
  const std::lock_guard<std::mutex> hold(pool_lock);
  while (!pool.empty()) {
    std::unique_ptr<Stacks> stacks = std::move(pool.back());
    pool.pop_back();
    if (stacks->count >= lanes) return stacks;
  }
  return std::make_unique<Stacks>(lanes);
}

static void give_back(std::unique_ptr<Stacks> stacks) {
  const std::lock_guard<std::mutex> hold(pool_lock);
  pool.push_back(std::move(stacks));
}

// ---- blocks over OS threads

struct Job {
  const Kernel& kernel;
  const Shape& shape;
  void** arguments;
  size_t blocks;
  Job(const Kernel& of, const Shape& size, void** values)
      : kernel(of),
        shape(size),
        arguments(values),
        blocks(static_cast<size_t>(size.grid[0]) * size.grid[1] * size.grid[2]) {}
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex lock;
  Outcome outcome = DONE;
  std::string error;
};

static void prepare(Block& block, const Job& job, const Stacks& stacks) {
  const unsigned* size = job.shape.block;
  const unsigned count = size[0] * size[1] * size[2];
  block.lanes.resize(count);
  block.warps.resize((count + 31) / 32);
  block.order = static_cast<Order>(settings.order);
  block.shared_size = job.shape.shared;
  block.kernel = &job.kernel;
  block.arguments = job.arguments;
  for (unsigned i = 0; i < count; i++) {
    Lane& lane = block.lanes[i];
    lane.thread = {i % size[0], i / size[0] % size[1], i / size[0] / size[1]};
    lane.block_size = {size[0], size[1], size[2]};
    lane.grid = {job.shape.grid[0], job.shape.grid[1], job.shape.grid[2]};
    lane.lane = i % 32;
    lane.shared = block.shared;
    lane.stack = stacks.stack(i);
    lane.warp = &block.warps[i / 32];
  }
  for (size_t i = 0; i < block.warps.size(); i++) {
    Warp& warp = block.warps[i];
    warp.lanes = &block.lanes[32 * i];
    warp.block = &block;
    warp.count = count - 32 * static_cast<unsigned>(i) < 32 ? count % 32 : 32;
    warp.everyone = warp.count == 32 ? ~0u : (1u << warp.count) - 1;
  }
}

static void place_block(Block& block, const Job& job, size_t index) {
  const unsigned* grid = job.shape.grid;
  const Coordinates at = {static_cast<unsigned>(index % grid[0]),
                          static_cast<unsigned>(index / grid[0] % grid[1]),
                          static_cast<unsigned>(index / grid[0] / grid[1])};
  for (Lane& lane : block.lanes) lane.block = at;
  block.random = settings.seed * 2654435761u ^ static_cast<unsigned>(index) * 40503u ^ 0x9E3779B9u;
  if (block.random == 0) block.random = 1;
}

// The first reason is the one that is told.
static void give_up(Job& job, Outcome outcome, const std::string& why) {
  const std::lock_guard<std::mutex> hold(job.lock);
  if (job.stop) return;
  job.stop = true;
  job.outcome = outcome;
  job.error = std::string("kernel ") + job.kernel.name + ", " + why;
}

static void work(Job& job) {
  Block block = {};
  block.shared = guarded_allocate(job.shape.shared, 128);
  std::unique_ptr<Stacks> stacks = take_stacks(static_cast<size_t>(job.shape.block[0]) *
                                               job.shape.block[1] * job.shape.block[2]);
  const SignalStack signal_stack;
  const bool room = block.shared != nullptr && stacks->base != nullptr;
  if (room) prepare(block, job, *stacks);
  if (!room) give_up(job, FAILED, "no memory for stacks and shared memory");
  for (size_t index; !job.stop && (index = job.next++) < job.blocks;) {
    place_block(block, job, index);
    const Outcome outcome = run_guarded(block);
    if (outcome == DONE) continue;
    give_up(job, outcome, "block " + triple(block.lanes[0].block) + ": " + block.error);
  }
  if (block.shared != nullptr) guarded_free(block.shared, job.shape.shared, 128);
  for (int i = 0; i < COUNTERS; i++) totals[i] += block.counters[i];
  if (stacks->base != nullptr) give_back(std::move(stacks));
}

Outcome launch(const Kernel& kernel, const Shape& shape, void** arguments, std::string& error) {
  catch_faults();
  Job job(kernel, shape, arguments);
  const size_t threads = settings.threads < job.blocks ? settings.threads : job.blocks;
  std::vector<std::thread> helpers;
  for (size_t i = 0; i < (threads == 0 ? 1 : threads); i++)
    helpers.emplace_back(work, std::ref(job));
  for (std::thread& helper : helpers) helper.join();
  totals[LAUNCHES]++;
  error = job.error;
  return job.outcome;
}

void read_counters(uint64_t* values) {
  for (int i = 0; i < COUNTERS; i++) values[i] = totals[i];
}

void reset_counters() {
  for (auto& total : totals) total = 0;
}

}  // namespace qc_emulated
