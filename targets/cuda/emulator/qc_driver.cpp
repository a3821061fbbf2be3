// The driver's device, context and error calls.
#include "qc_driver.hpp"

#include <cstdio>
#include <cstdlib>

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
    case 75:
      return 64 << 10;
    case 80:
    case 87:
      return 163 << 10;
    case 90:
    case 100:
      return 227 << 10;
    default:
      return 99 << 10;
  }
}

// Device attributes by the driver's numbers; those a capability decides are not in the table.
enum Attribute { SHARED_OF_BLOCK_OPT_IN = 97, CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76 };
static const std::map<int, int> attributes = {
    {1, 1024},        // threads of a block
    {2, 1024},        // … along x
    {3, 1024},        // … along y
    {4, 64},          // … along z
    {5, 2147483647},  // blocks along x
    {6, 65535},       // … along y
    {7, 65535},       // … along z
    {8, 48 << 10},    // shared memory of a block that does not ask for more
    {9, 64 << 10},    // constant memory
    {10, 32},         // lanes of a warp
    {12, 65536},      // registers of a block
    {13, 1000000},    // clock, kHz
    {16, 40},         // multiprocessors
    {18, 0},          // integrated
    {41, 1},          // one address space with the host
    {82, 65536},      // registers of a multiprocessor
};

static int attribute(int which, int& value) {
  switch (which) {
    case CAPABILITY_MAJOR:
      return value = device_state.major, SUCCESS;
    case CAPABILITY_MINOR:
      return value = device_state.minor, SUCCESS;
    case SHARED_OF_BLOCK_OPT_IN:
      return value = static_cast<int>(most_shared_memory()), SUCCESS;
  }
  const auto found = attributes.find(which);
  if (found == attributes.end()) return INVALID_VALUE;
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
    {CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
};

static const Name* named(int code) {
  for (const Name& name : names)
    if (name.code == code) return &name;
  return nullptr;
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
