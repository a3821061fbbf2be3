// Wild accesses of kernels, caught.
#pragma once

#include <csignal>
#include <memory>

#include "qc_runtime.hpp"

namespace qc_emulated {

// Installs the handler, in front of whoever had one.
void catch_faults();

// As `run_block`; a fault ends the block and says who touched what.
Outcome run_guarded(Block& block);

// A stack for the handler, on this OS thread.
struct SignalStack {
  static constexpr size_t SIZE = 64 * 1024;
  std::unique_ptr<unsigned char[]> memory;
  stack_t earlier_stack;
  SignalStack();
  ~SignalStack();
};

}  // namespace qc_emulated
