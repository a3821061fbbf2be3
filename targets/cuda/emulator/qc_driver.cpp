// The driver's device, context, module, function and launch calls.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "qc_driver.hpp"

namespace qc_emulated {

Device device_state;
static __thread Device* contexts[8];
static __thread int depth = 0;

unsigned long long this_thread() {
  static __thread char mark;
  return reinterpret_cast<unsigned long long>(&mark);
}

int Call::ready() const {
  if (!device_state.initialized) return NOT_INITIALIZED;
  if (depth == 0 || contexts[depth - 1] == nullptr || device_state.retained == 0)
    return INVALID_CONTEXT;
  return device_state.fault;
}

int Call::ready_to_wait() const {
  for (const auto& [stream, owner] : device_state.streams)
    if (stream->capture != nullptr &&
        (stream->mode == 0 || (stream->mode == 1 && stream->thread == this_thread())))
      return CAPTURE_UNSUPPORTED;
  return ready();
}

unsigned most_shared_memory() {
  switch (device_state.major * 10 + device_state.minor) {
    case 75: return 64 << 10;
    case 80: case 87: return 163 << 10;
    case 90: case 100: return 227 << 10;
    default: return 99 << 10;
  }
}

static int attribute(int which, int& value) {
  static const std::map<int, int> fixed = {
      {1, 1024}, {2, 1024}, {3, 1024}, {4, 64},         // threads per block
      {5, 2147483647}, {6, 65535}, {7, 65535},          // grid
      {8, 48 << 10}, {9, 64 << 10}, {10, 32}, {12, 65536}, {13, 1000000}, {16, 40}, {18, 0},
      {19, 1}, {20, 0}, {31, 1}, {41, 1}, {82, 65536}, {115, 0}};
  if (which == 75) return value = device_state.major, SUCCESS;
  if (which == 76) return value = device_state.minor, SUCCESS;
  if (which == 97) return value = static_cast<int>(most_shared_memory()), SUCCESS;
  const auto found = fixed.find(which);
  if (found == fixed.end()) return INVALID_VALUE;
  return value = found->second, SUCCESS;
}

struct Name {
  int code;
  const char *name, *text;
};
static const Name names[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available for execution on the device"},
    {INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {UNSUPPORTED_PTX_VERSION, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
     "the provided PTX was compiled with an unsupported toolchain"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {ILLEGAL_ACCESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
     "too many resources requested for launch"},
    {MISALIGNED, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
     "the capture was not initiated in this stream"},
    {CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED",
     "capturing stream has unjoined work"},
};

static const Name* named(int code) {
  for (const Name& name : names)
    if (name.code == code) return &name;
  return nullptr;
}

static int fault_of(Outcome outcome) {
  switch (outcome) {
    case DONE: return SUCCESS;
    case ILLEGAL_ADDRESS: return ILLEGAL_ACCESS;
    case MISALIGNED_ADDRESS: return MISALIGNED;
    case FAILED: return LAUNCH_FAILED;
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
    return static_cast<int>(SUCCESS);  // a launch is asynchronous: the next call says what went wrong
  };
}

}  // namespace qc_emulated

using namespace qc_emulated;

QC_DRIVER cuInit(unsigned flags) {
  const Call call;
  if (flags != 0) return INVALID_VALUE;
  if (const char* order = std::getenv("QC_EMU_ORDER")) settings.order = std::atoi(order) & 3;
  if (const char* capability = std::getenv("QC_EMU_SM")) {
    device_state.major = std::atoi(capability) / 10;
    device_state.minor = std::atoi(capability) % 10;
  }
  device_state.initialized = true;
  return SUCCESS;
}

QC_DRIVER cuDriverGetVersion(int* version) {
  *version = device_state.driver_version;
  return SUCCESS;
}

QC_DRIVER cuDeviceGetCount(int* count) {
  const Call call;
  *count = 1;
  return call.initialized();
}

QC_DRIVER cuDeviceGet(int* device, int ordinal) {
  const Call call;
  if (ordinal != 0) return INVALID_DEVICE;
  *device = 0;
  return call.initialized();
}

QC_DRIVER cuDeviceGetName(char* name, int size, int device) {
  const Call call;
  if (device != 0) return INVALID_DEVICE;
  std::snprintf(name, static_cast<size_t>(size), "qcompile CPU emulator (sm_%d%d)",
                device_state.major, device_state.minor);
  return call.initialized();
}

QC_DRIVER cuDeviceTotalMem_v2(size_t* bytes, int device) {
  const Call call;
  *bytes = device_state.memory;
  return device != 0 ? INVALID_DEVICE : call.initialized();
}

QC_DRIVER cuDeviceGetAttribute(int* value, int which, int device) {
  const Call call;
  if (device != 0) return INVALID_DEVICE;
  if (call.initialized() != SUCCESS) return call.initialized();
  return attribute(which, *value);
}

QC_DRIVER cuDevicePrimaryCtxRetain(void** context, int device) {
  const Call call;
  if (device != 0) return INVALID_DEVICE;
  if (call.initialized() != SUCCESS) return call.initialized();
  device_state.retained++;
  *context = &device_state;
  return SUCCESS;
}

QC_DRIVER cuDevicePrimaryCtxRelease_v2(int device) {
  const Call call;
  if (device != 0) return INVALID_DEVICE;
  if (device_state.retained == 0) return INVALID_CONTEXT;
  if (--device_state.retained == 0) device_state.fault = SUCCESS;  // the context is gone
  return SUCCESS;
}
QC_DRIVER cuDevicePrimaryCtxRelease(int device) { return cuDevicePrimaryCtxRelease_v2(device); }

static bool known(const void* context) { return context == nullptr || context == &device_state; }

QC_DRIVER cuCtxSetCurrent(void* context) {
  const Call call;
  if (!known(context)) return INVALID_CONTEXT;
  if (depth == 0) depth = 1;
  contexts[depth - 1] = static_cast<Device*>(context);
  return SUCCESS;
}

QC_DRIVER cuCtxGetCurrent(void** context) {
  const Call call;
  *context = depth == 0 ? nullptr : contexts[depth - 1];
  return call.initialized();
}

QC_DRIVER cuCtxPushCurrent_v2(void* context) {
  const Call call;
  if (!known(context) || context == nullptr || depth == 8) return INVALID_CONTEXT;
  contexts[depth++] = static_cast<Device*>(context);
  return SUCCESS;
}

QC_DRIVER cuCtxPopCurrent_v2(void** context) {
  const Call call;
  if (depth == 0) return INVALID_CONTEXT;
  depth--;
  if (context != nullptr) *context = contexts[depth];
  return SUCCESS;
}

QC_DRIVER cuCtxSynchronize() {
  const Call call;
  return call.ready_to_wait();
}

QC_DRIVER cuGetErrorName(int code, const char** name) {
  const Name* found = named(code);
  *name = found == nullptr ? nullptr : found->name;
  return found == nullptr ? INVALID_VALUE : SUCCESS;
}

// For the error that a kernel left behind, what the emulator saw.
QC_DRIVER cuGetErrorString(int code, const char** text) {
  const Call call;
  const Name* found = named(code);
  *text = found == nullptr ? nullptr : found->text;
  if (code != SUCCESS && code == device_state.fault) *text = device_state.fault_text.c_str();
  return found == nullptr ? INVALID_VALUE : SUCCESS;
}

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
    case MAX_THREADS: return *value = 1024, SUCCESS;
    case STATIC_SHARED: return *value = 0, SUCCESS;
    case DYNAMIC_SHARED: return *value = static_cast<int>(function->most_shared), SUCCESS;
    default: return NOT_SUPPORTED;  // registers and the like: there are none
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

QC_DRIVER qcemu_set_capability(int major, int minor) {
  const Call call;
  device_state.major = major;
  device_state.minor = minor;
  return SUCCESS;
}

QC_DRIVER qcemu_set_driver_version(int version) {
  device_state.driver_version = version;
  return SUCCESS;
}

QC_DRIVER qcemu_set_memory(unsigned long long bytes) {
  device_state.memory = bytes;
  return SUCCESS;
}
