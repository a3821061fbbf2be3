// The driver's module, function and launch calls.
#include "qc_driver.hpp"

namespace qc_emulated {

static int fault_of(Outcome outcome) {
  switch (outcome) {
    case DONE:
      return SUCCESS;
    case ILLEGAL_ADDRESS:
      return ILLEGAL_ACCESS;
    case MISALIGNED_ADDRESS:
      return MISALIGNED;
    case FAILED:
      return LAUNCH_FAILED;
  }
  return LAUNCH_FAILED;
}

static bool launchable(const Function& function, const Shape& shape) {
  const unsigned *grid = shape.grid, *block = shape.block;
  if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0 || grid[1] > 65535 || grid[2] > 65535)
    return false;
  if (block[0] == 0 || block[1] == 0 || block[2] == 0 || block[0] > 1024 || block[1] > 1024 ||
      block[2] > 64)
    return false;
  return block[0] * block[1] * block[2] <= 1024 && shape.shared <= function.most_shared;
}

// The values are copied now: the caller's array need not outlive the call.
static Operation launching(const Kernel& kernel, const Shape& shape, void** arguments) {
  std::vector<std::vector<unsigned char>> values;
  for (unsigned i = 0; i < kernel.parameters; i++) {
    const auto* from = static_cast<const unsigned char*>(arguments[i]);
    values.emplace_back(from, from + kernel.sizes[i]);
  }
  return [&kernel, shape, values]() mutable {
    std::vector<void*> pointers;
    for (auto& value : values) pointers.push_back(value.data());
    std::string text;
    device_state.fault = fault_of(launch(kernel, shape, pointers.data(), text));
    device_state.fault_text = text;
    return static_cast<int>(
        SUCCESS);  // a launch is asynchronous: the next call says what went wrong
  };
}

}  // namespace qc_emulated

using namespace qc_emulated;

QC_DRIVER cuModuleLoadData(Module** module, const void* image) {
  const Call call;
  if (call.ready() != SUCCESS) return call.ready();
  int result = SUCCESS;
  auto made = std::make_unique<Module>(read_image(image, result));
  if (result != SUCCESS) return result;
  *module = made.get();
  device_state.modules[made.get()] = std::move(made);
  return SUCCESS;
}

QC_DRIVER cuModuleLoadDataEx(Module** module, const void* image, unsigned, int*, void**) {
  return cuModuleLoadData(module, image);
}

QC_DRIVER cuModuleUnload(Module* module) {
  const Call call;
  if (device_state.modules.erase(module) == 0) return INVALID_HANDLE;
  for (auto at = device_state.functions.begin(); at != device_state.functions.end();)
    at = at->second->module == module ? device_state.functions.erase(at) : std::next(at);
  return SUCCESS;
}

QC_DRIVER cuModuleGetFunction(Function** function, Module* module, const char* name) {
  const Call call;
  if (call.ready() != SUCCESS) return call.ready();
  if (device_state.modules.count(module) == 0) return INVALID_HANDLE;
  const Kernel* kernel = find_kernel(name);
  if (kernel == nullptr) return NOT_FOUND;
  if (module->lists_entries && module->entries.count(name) == 0) return NOT_FOUND;
  auto made = std::make_unique<Function>(Function{kernel, module, 48 << 10});
  *function = made.get();
  device_state.functions[made.get()] = std::move(made);
  return SUCCESS;
}

static constexpr int MAX_THREADS = 0, STATIC_SHARED = 1, DYNAMIC_SHARED = 8;

QC_DRIVER cuFuncSetAttribute(Function* function, int which, int value) {
  const Call call;
  if (device_state.functions.count(function) == 0) return INVALID_HANDLE;
  if (which != DYNAMIC_SHARED) return SUCCESS;  // a preference
  if (value < 0 || static_cast<unsigned>(value) > most_shared_memory()) return INVALID_VALUE;
  function->most_shared = static_cast<unsigned>(value);
  return SUCCESS;
}

QC_DRIVER cuFuncGetAttribute(int* value, int which, Function* function) {
  const Call call;
  if (device_state.functions.count(function) == 0) return INVALID_HANDLE;
  switch (which) {
    case MAX_THREADS:
      return *value = 1024, SUCCESS;
    case STATIC_SHARED:
      return *value = 0, SUCCESS;
    case DYNAMIC_SHARED:
      return *value = static_cast<int>(function->most_shared), SUCCESS;
    default:
      return NOT_SUPPORTED;  // registers and the like: there are none
  }
}

QC_DRIVER cuLaunchKernel(Function* function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                         unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                         Stream* stream, void** arguments, void** extra) {
  const Call call;
  if (call.ready() != SUCCESS) return call.ready();
  if (device_state.functions.count(function) == 0) return INVALID_HANDLE;
  const Shape shape = {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared};
  if (extra != nullptr || !launchable(*function, shape)) return INVALID_VALUE;
  if (arguments == nullptr && function->kernel->parameters != 0) return INVALID_VALUE;
  return run_or_record(stream, launching(*function->kernel, shape, arguments));
}
