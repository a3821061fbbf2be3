// What the driver checks of an image: is it one, is it for this device, which kernels does it have.
#include <cstring>

#include "qc_driver.hpp"

namespace qc_emulated {

static constexpr unsigned CUDA_MACHINE = 190;

template <class T>
static T read(const unsigned char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// A cubin runs on devices of its major number and at least its minor number.
static int fits(unsigned architecture) {
  const int major = static_cast<int>(architecture / 10),
            minor = static_cast<int>(architecture % 10);
  return major == device_state.major && minor <= device_state.minor ? SUCCESS : NO_BINARY_FOR_GPU;
}

static Module read_cubin(const unsigned char* image, int& result) {
  Module module;
  if (read<uint16_t>(image + 18) != CUDA_MACHINE) return module;
  const uint32_t flags = read<uint32_t>(image + 48);
  const bool newer = image[8] >= 8;  // the ABI of CUDA 13
  result = newer && device_state.driver_version < 13000
               ? INVALID_IMAGE
               : fits(newer ? flags >> 8 & 255 : flags & 255);
  const unsigned char* sections = image + read<uint64_t>(image + 40);
  const unsigned size = read<uint16_t>(image + 58), count = read<uint16_t>(image + 60);
  if (count == 0) return module;
  const unsigned char* strings = sections + size_t{size} * read<uint16_t>(image + 62);
  const char* texts = reinterpret_cast<const char*>(image) + read<uint64_t>(strings + 24);
  module.lists_entries = true;
  for (unsigned i = 0; i < count; i++) {
    const std::string name = texts + read<uint32_t>(sections + size_t{size} * i);
    if (name.rfind(".text.", 0) == 0) module.entries.insert(name.substr(6));
  }
  return module;
}

static const char* after(const char* text, const char* word) {
  const char* found = std::strstr(text, word);
  return found == nullptr ? nullptr : found + std::strlen(word);
}

static Module read_ptx(const char* text, int& result) {
  Module module;
  const char* version = after(text, ".version ");
  const char* target = after(text, ".target sm_");
  if (version == nullptr || target == nullptr) return result = INVALID_IMAGE, module;
  int major = 0, minor = 0, architecture = 0;
  if (std::sscanf(version, "%d.%d", &major, &minor) != 2 ||
      std::sscanf(target, "%d", &architecture) != 1)
    return result = INVALID_PTX, module;
  // PTX 8.4 is CUDA 12.4's
  if ((major + 4) * 1000 + minor * 10 > device_state.driver_version)
    return result = UNSUPPORTED_PTX_VERSION, module;
  if (architecture > device_state.major * 10 + device_state.minor)
    return result = NO_BINARY_FOR_GPU, module;
  module.lists_entries = true;
  for (const char* at = text; (at = after(at, ".entry ")) != nullptr;)
    module.entries.insert(std::string(at, std::strcspn(at, " (\n\t")));
  return module;
}

Module read_image(const void* image, int& result) {
  const auto* bytes = static_cast<const unsigned char*>(image);
  if (bytes == nullptr) return result = INVALID_VALUE, Module();
  if (std::memcmp(bytes, "\177ELF", 4) == 0) return read_cubin(bytes, result);
  if (bytes[0] != '/' && bytes[0] != '.' && bytes[0] != '\n' && bytes[0] != ' ')
    return result = INVALID_IMAGE, Module();
  return read_ptx(static_cast<const char*>(image), result);
}

}  // namespace qc_emulated
