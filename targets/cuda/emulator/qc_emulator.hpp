// CUDA's vocabulary for kernels compiled by a C++ compiler. Declarations and one-line shims only:
// what a warp or a block does together is in the runtime, so that fifty kernels compile in seconds.
//
// Not emulated: weak memory order (a missing fence is not seen), static __shared__ arrays
// (QC_SHARED is the only way to shared memory), warp instructions of a part of a warp, and threads
// that poll.
#pragma once

#include "qc_abi.hpp"

// ---- CUDA's types

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(2) char2 {
  signed char x, y;
};
struct alignas(2) uchar2 {
  unsigned char x, y;
};
struct alignas(4) char4 {
  signed char x, y, z, w;
};
struct alignas(4) uchar4 {
  unsigned char x, y, z, w;
};

inline int2 make_int2(int x, int y) { return {x, y}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline char2 make_char2(signed char x, signed char y) { return {x, y}; }
inline uchar2 make_uchar2(unsigned char x, unsigned char y) { return {x, y}; }
inline char4 make_char4(signed char x, signed char y, signed char z, signed char w) {
  return {x, y, z, w};
}
inline uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) {
  return {x, y, z, w};
}

namespace qc_emulated {

// ---- a kernel called with the driver's array of pointers to arguments

template <unsigned... I>
struct Indices {};
template <unsigned N, unsigned... I>
struct Count : Count<N - 1, N - 1, I...> {};
template <unsigned... I>
struct Count<0, I...> {
  using type = Indices<I...>;
};

template <class F>
struct Signature;
template <class... P>
struct Signature<void (*)(P...)> {
  static constexpr unsigned parameters = sizeof...(P);
  static constexpr unsigned sizes[] = {sizeof(P)..., 0};
  template <unsigned... I>
  static void spread(void (*function)(P...), void** arguments, Indices<I...>) {
    function(*static_cast<P*>(arguments[I])...);
  }
  static void call(void (*function)(), void** arguments) {
    spread(reinterpret_cast<void (*)(P...)>(function), arguments,
           typename Count<sizeof...(P)>::type());
  }
};

template <class F>
struct Registration {
  Kernel kernel;
  Registration(const char* name, F function)
      : kernel{name,
               &Signature<F>::call,
               reinterpret_cast<void (*)()>(function),
               Signature<F>::parameters,
               Signature<F>::sizes,
               kernels} {
    kernels = &kernel;
  }
};

// ---- the names of qc_device.cuh

namespace device {

template <bool UNSIGNED>
inline void mma_m8n8k16(int (&c)[2], unsigned a, unsigned b) {
  static constexpr Product product{"mma_m8n8k16", 1, 1, 8, UNSIGNED, 1, 1};
  multiply(product, c, &a, &b);
}
template <bool UNSIGNED>
inline void mma_m8n8k32(int (&c)[2], unsigned a, unsigned b) {
  static constexpr Product product{"mma_m8n8k32", 1, 1, 4, UNSIGNED, 1, 1};
  multiply(product, c, &a, &b);
}
template <bool UNSIGNED>
inline void mma_m16n8k32(int (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  static constexpr Product product{"mma_m16n8k32", 2, 2, 8, UNSIGNED, 1, 1};
  multiply(product, c, a, b);
}
template <bool UNSIGNED>
inline void mma_m16n8k64(int (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  static constexpr Product product{"mma_m16n8k64", 2, 2, 4, UNSIGNED, 1, 1};
  multiply(product, c, a, b);
}
template <bool UNSIGNED, int ROWS, int COLUMNS>
inline void mma_m8n8k16_tile(int (&c)[ROWS][COLUMNS][2], const unsigned (&a)[ROWS],
                             const unsigned (&b)[COLUMNS]) {
  static constexpr Product product{"mma_m8n8k16", 1, 1, 8, UNSIGNED, ROWS, COLUMNS};
  static_assert(COLUMNS <= MOST_COLUMNS, "a tile is at most 32 fragments wide");
  multiply(product, c[0][0], a, b);
}
template <bool UNSIGNED, int ROWS, int COLUMNS>
inline void mma_m8n8k32_tile(int (&c)[ROWS][COLUMNS][2], const unsigned (&a)[ROWS],
                             const unsigned (&b)[COLUMNS]) {
  static constexpr Product product{"mma_m8n8k32", 1, 1, 4, UNSIGNED, ROWS, COLUMNS};
  static_assert(COLUMNS <= MOST_COLUMNS, "a tile is at most 32 fragments wide");
  multiply(product, c[0][0], a, b);
}
template <bool UNSIGNED, int ROWS, int COLUMNS>
inline void mma_m16n8k32_tile(int (&c)[ROWS][COLUMNS][4], const unsigned (&a)[ROWS][4],
                              const unsigned (&b)[COLUMNS][2]) {
  static constexpr Product product{"mma_m16n8k32", 2, 2, 8, UNSIGNED, ROWS, COLUMNS};
  static_assert(COLUMNS <= MOST_COLUMNS, "a tile is at most 32 fragments wide");
  multiply(product, c[0][0], a[0], b[0]);
}
template <bool UNSIGNED, int ROWS, int COLUMNS>
inline void mma_m16n8k64_tile(int (&c)[ROWS][COLUMNS][4], const unsigned (&a)[ROWS][4],
                              const unsigned (&b)[COLUMNS][2]) {
  static constexpr Product product{"mma_m16n8k64", 2, 2, 4, UNSIGNED, ROWS, COLUMNS};
  static_assert(COLUMNS <= MOST_COLUMNS, "a tile is at most 32 fragments wide");
  multiply(product, c[0][0], a[0], b[0]);
}

template <bool UNSIGNED>
inline int byte_of(unsigned word, int index) {
  const unsigned byte = word >> (8 * index) & 255;
  return UNSIGNED ? static_cast<int>(byte) : static_cast<int>(byte ^ 128) - 128;
}
template <bool A_UNSIGNED, bool B_UNSIGNED = false>
inline int dp4a(unsigned a, unsigned b, int c) {
  unsigned sum = static_cast<unsigned>(c);
  for (int i = 0; i < 4; i++)
    sum += static_cast<unsigned>(byte_of<A_UNSIGNED>(a, i) * byte_of<B_UNSIGNED>(b, i));
  return static_cast<int>(sum);
}

inline void ldmatrix_x4(unsigned (&r)[4], const void* row) { load_matrices(r, row, 4); }
inline void ldmatrix_x2(unsigned (&r)[2], const void* row) { load_matrices(r, row, 2); }

// __builtin_LINE() as a default argument is the caller's line: the lanes' accesses are matched by
// it.
inline void shared_store16(void* shared, uint4 value, int line = __builtin_LINE()) {
  shared_access(shared, 16, line);
  *static_cast<uint4*>(shared) = value;
}
inline void shared_store8(void* shared, uint2 value, int line = __builtin_LINE()) {
  shared_access(shared, 8, line);
  *static_cast<uint2*>(shared) = value;
}
inline void shared_store4(void* shared, unsigned value, int line = __builtin_LINE()) {
  shared_access(shared, 4, line);
  *static_cast<unsigned*>(shared) = value;
}
inline uint4 shared_load16(const void* shared, int line = __builtin_LINE()) {
  shared_access(shared, 16, line);
  return *static_cast<const uint4*>(shared);
}
inline uint2 shared_load8(const void* shared, int line = __builtin_LINE()) {
  shared_access(shared, 8, line);
  return *static_cast<const uint2*>(shared);
}
inline unsigned shared_load4(const void* shared, int line = __builtin_LINE()) {
  shared_access(shared, 4, line);
  return *static_cast<const unsigned*>(shared);
}

inline void cp_async16(void* shared, const void* global, bool copy) {
  copy_async(shared, global, copy);
}
inline void cp_async16(void* shared, const void* global) { copy_async(shared, global, true); }
inline void cp_async_commit() { commit_async(); }
template <int N>
inline void cp_async_wait() {
  wait_async(N);
}

inline uint4 global_load16(const void* global) { return *static_cast<const uint4*>(global); }
inline uint2 global_load8(const void* global) { return *static_cast<const uint2*>(global); }
inline unsigned global_load4(const void* global) { return *static_cast<const unsigned*>(global); }
inline void global_store16(void* global, uint4 value) { *static_cast<uint4*>(global) = value; }
inline void global_store8(void* global, uint2 value) { *static_cast<uint2*>(global) = value; }
inline void global_store4(void* global, unsigned value) { *static_cast<unsigned*>(global) = value; }

}  // namespace device
}  // namespace qc_emulated

#include "qc_shims.hpp"
