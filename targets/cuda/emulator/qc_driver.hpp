// A stand-in for libcuda.so.1: one device, kernels run on the CPU before the launch returns, errors
// of kernels stick to the context as they do on a GPU.
#pragma once

#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "qc_runtime.hpp"

#define QC_DRIVER extern "C" __attribute__((visibility("default"))) int

namespace qc_emulated {

enum Result {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  NO_BINARY_FOR_GPU = 209,
  INVALID_PTX = 218,
  UNSUPPORTED_PTX_VERSION = 222,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  ILLEGAL_ACCESS = 700,
  OUT_OF_RESOURCES = 701,
  MISALIGNED = 716,
  LAUNCH_FAILED = 719,
  NOT_SUPPORTED = 801,
  CAPTURE_UNSUPPORTED = 900,
  CAPTURE_INVALIDATED = 901,
  CAPTURE_UNMATCHED = 903,
  CAPTURE_UNJOINED = 904
};

using Operation = std::function<int()>;
using Graph = std::vector<Operation>;

struct Stream {
  std::unique_ptr<Graph> capture;
  int mode = 0;
  unsigned long long thread = 0;
};

struct Module {
  bool lists_entries = false;  // a cubin or PTX says which kernels it has
  std::set<std::string> entries;
};

struct Function {
  const Kernel* kernel;
  Module* module;
  unsigned most_shared;
};

// Everything a process knows about its device.
struct Device {
  std::mutex lock;
  bool initialized = false;
  int major = 7, minor = 5, driver_version = 12040;
  unsigned long long memory = 16ull << 30, used = 0;
  int retained = 0;
  int fault = SUCCESS;
  std::string fault_text;
  std::map<unsigned char*, size_t> allocations;
  std::map<Module*, std::unique_ptr<Module>> modules;
  std::map<Function*, std::unique_ptr<Function>> functions;
  std::map<Stream*, std::unique_ptr<Stream>> streams;
  std::map<Graph*, std::unique_ptr<Graph>> graphs;
  std::map<Graph*, std::unique_ptr<Graph>> executables;
  std::map<double*, std::unique_ptr<double>> events;
};
extern Device device_state;

// Holds the device for one call; `ready` says whether work may be given to the current context.
struct Call {
  std::lock_guard<std::mutex> hold{device_state.lock};
  int initialized() const { return device_state.initialized ? SUCCESS : NOT_INITIALIZED; }
  int ready() const;
  // As `ready`; and calls that a capture under way forbids are refused.
  int ready_to_wait() const;
};

// Now, or later when the stream is being captured.
int run_or_record(Stream* stream, Operation operation);
bool inside_an_allocation(const void* pointer, size_t size);
Module read_image(const void* image, int& result);
unsigned most_shared_memory();
unsigned long long this_thread();

}  // namespace qc_emulated
