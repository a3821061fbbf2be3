// The driver's memory calls: every allocation stands between guard pages.
#include <cstring>

#include "qc_driver.hpp"
#include "qc_memory.hpp"

namespace qc_emulated {

static constexpr size_t ALIGNMENT = 16;

bool inside_an_allocation(const void* pointer, size_t size) {
  const auto* first = static_cast<const unsigned char*>(pointer);
  auto after = device_state.allocations.upper_bound(const_cast<unsigned char*>(first));
  if (after == device_state.allocations.begin()) return false;
  const auto& [base, bytes] = *--after;
  const size_t offset = static_cast<size_t>(first - base);
  return offset <= bytes && size <= bytes - offset;
}

using Address = unsigned long long;
static void* at(Address address) { return reinterpret_cast<void*>(address); }

static int copy(void* to, const void* from, size_t size) {
  if (size != 0) std::memmove(to, from, size);
  return device_state.fault;
}

static int copy_now(const Call& call, const void* checked, void* to, const void* from,
                    size_t size) {
  if (call.ready_to_wait() != SUCCESS) return call.ready_to_wait();
  if (!inside_an_allocation(checked, size)) return INVALID_VALUE;
  return copy(to, from, size);
}

static int copy_in(const Call& call, Stream* stream, const void* checked, void* to,
                   const void* from, size_t size) {
  if (call.ready() != SUCCESS) return call.ready();
  if (!inside_an_allocation(checked, size)) return INVALID_VALUE;
  return run_or_record(stream, [=] { return copy(to, from, size); });
}

static int set(void* to, int value, size_t size) {
  if (size != 0) std::memset(to, value, size);
  return device_state.fault;
}

}  // namespace qc_emulated

using namespace qc_emulated;

QC_DRIVER cuMemAlloc_v2(Address* address, size_t size) {
  const Call call;
  if (call.ready_to_wait() != SUCCESS) return call.ready_to_wait();
  if (size == 0) return INVALID_VALUE;
  if (size > device_state.memory - device_state.used) return OUT_OF_MEMORY;
  unsigned char* pointer = guarded_allocate(size, ALIGNMENT);
  if (pointer == nullptr) return OUT_OF_MEMORY;
  device_state.allocations[pointer] = size;
  device_state.used += size;
  *address = reinterpret_cast<Address>(pointer);
  return SUCCESS;
}

QC_DRIVER cuMemFree_v2(Address address) {
  const Call call;
  if (call.ready_to_wait() == CAPTURE_UNSUPPORTED) return CAPTURE_UNSUPPORTED;
  if (address == 0) return SUCCESS;
  const auto found = device_state.allocations.find(static_cast<unsigned char*>(at(address)));
  if (found == device_state.allocations.end()) return INVALID_VALUE;
  guarded_free(found->first, found->second, ALIGNMENT);
  device_state.used -= found->second;
  device_state.allocations.erase(found);
  return SUCCESS;
}

QC_DRIVER cuMemGetInfo_v2(size_t* unused, size_t* total) {
  const Call call;
  *unused = device_state.memory - device_state.used;
  *total = device_state.memory;
  return call.ready();
}

QC_DRIVER cuMemcpyHtoD_v2(Address to, const void* from, size_t size) {
  const Call call;
  return copy_now(call, at(to), at(to), from, size);
}

QC_DRIVER cuMemcpyDtoH_v2(void* to, Address from, size_t size) {
  const Call call;
  return copy_now(call, at(from), to, at(from), size);
}

QC_DRIVER cuMemcpyDtoD_v2(Address to, Address from, size_t size) {
  const Call call;
  if (!inside_an_allocation(at(to), size)) return INVALID_VALUE;
  return copy_now(call, at(from), at(to), at(from), size);
}

QC_DRIVER cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t size, Stream* stream) {
  const Call call;
  return copy_in(call, stream, at(to), at(to), from, size);
}

QC_DRIVER cuMemcpyDtoHAsync_v2(void* to, Address from, size_t size, Stream* stream) {
  const Call call;
  return copy_in(call, stream, at(from), to, at(from), size);
}

QC_DRIVER cuMemcpyDtoDAsync_v2(Address to, Address from, size_t size, Stream* stream) {
  const Call call;
  if (!inside_an_allocation(at(to), size)) return INVALID_VALUE;
  return copy_in(call, stream, at(from), at(to), at(from), size);
}

QC_DRIVER cuMemsetD8_v2(Address to, unsigned char value, size_t size) {
  const Call call;
  if (call.ready_to_wait() != SUCCESS) return call.ready_to_wait();
  if (!inside_an_allocation(at(to), size)) return INVALID_VALUE;
  return set(at(to), value, size);
}

QC_DRIVER cuMemsetD8Async(Address to, unsigned char value, size_t size, Stream* stream) {
  const Call call;
  if (call.ready() != SUCCESS) return call.ready();
  if (!inside_an_allocation(at(to), size)) return INVALID_VALUE;
  void* pointer = at(to);
  return run_or_record(stream, [=] { return set(pointer, value, size); });
}
