// CUDA's keywords and built-in functions, as far as the kernels use them.
#pragma once

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __align__(bytes) alignas(bytes)
#define threadIdx (::qc_emulated::current()->thread)
#define blockIdx (::qc_emulated::current()->block)
#define blockDim (::qc_emulated::current()->block_size)
#define gridDim (::qc_emulated::current()->grid)
#define warpSize 32
#define QC_KERNEL(name) \
  static ::qc_emulated::Registration<decltype(&name)> qc_kernel_##name{#name, &name};

// ---- meetings

inline void __syncthreads(int line = __builtin_LINE()) { qc_emulated::sync_threads(line); }
inline void __syncwarp(unsigned = ~0u) { qc_emulated::sync_warp(); }
inline void __trap() { qc_emulated::trap(); }

inline int __float_as_int(float x) {
  int bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits;
}
inline unsigned __float_as_uint(float x) { return static_cast<unsigned>(__float_as_int(x)); }
inline float __int_as_float(int bits) {
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}
inline float __uint_as_float(unsigned bits) { return __int_as_float(static_cast<int>(bits)); }

namespace qc_emulated {
inline unsigned bits_of(unsigned value) { return value; }
inline unsigned bits_of(int value) { return static_cast<unsigned>(value); }
inline unsigned bits_of(float value) { return __float_as_uint(value); }
inline void of_bits(unsigned& value, unsigned bits) { value = bits; }
inline void of_bits(int& value, unsigned bits) { value = static_cast<int>(bits); }
inline void of_bits(float& value, unsigned bits) { value = __uint_as_float(bits); }
template <class T>
inline T shuffled(T value, unsigned source) {
  T result;
  of_bits(result, shuffle(bits_of(value), source));
  return result;
}
inline long long shuffled(long long value, unsigned source) {
  const unsigned low = shuffle(static_cast<unsigned>(value), source);
  const unsigned high = shuffle(static_cast<unsigned>(value >> 32), source);
  return static_cast<long long>(static_cast<unsigned long long>(high) << 32 | low);
}
}  // namespace qc_emulated

template <class T>
inline T __shfl_sync(unsigned, T value, int source) {
  return qc_emulated::shuffled(value, static_cast<unsigned>(source) & 31);
}
template <class T>
inline T __shfl_xor_sync(unsigned, T value, int mask) {
  return qc_emulated::shuffled(value,
                               (qc_emulated::current()->lane ^ static_cast<unsigned>(mask)) & 31);
}
template <class T>
inline T __shfl_down_sync(unsigned, T value, unsigned delta) {
  const unsigned lane = qc_emulated::current()->lane;
  return qc_emulated::shuffled(value, lane + delta > 31 ? lane : lane + delta);
}
template <class T>
inline T __shfl_up_sync(unsigned, T value, unsigned delta) {
  const unsigned lane = qc_emulated::current()->lane;
  return qc_emulated::shuffled(value, delta > lane ? lane : lane - delta);
}
inline unsigned __ballot_sync(unsigned, int vote) { return qc_emulated::ballot(vote != 0); }
inline int __any_sync(unsigned, int vote) { return qc_emulated::ballot(vote != 0) != 0; }
inline int __all_sync(unsigned, int vote) { return qc_emulated::ballot(vote == 0) == 0; }

// ---- integers

inline int min(int a, int b) { return b < a ? b : a; }
inline int max(int a, int b) { return a < b ? b : a; }
inline unsigned min(unsigned a, unsigned b) { return b < a ? b : a; }
inline unsigned max(unsigned a, unsigned b) { return a < b ? b : a; }
inline long long min(long long a, long long b) { return b < a ? b : a; }
inline long long max(long long a, long long b) { return a < b ? b : a; }
inline unsigned long long min(unsigned long long a, unsigned long long b) { return b < a ? b : a; }
inline unsigned long long max(unsigned long long a, unsigned long long b) { return a < b ? b : a; }

inline int __mulhi(int a, int b) { return static_cast<int>(static_cast<long long>(a) * b >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<unsigned long long>(a) * b >> 32);
}
inline long long __mul64hi(long long a, long long b) {
  return static_cast<long long>(static_cast<__int128>(a) * b >> 64);
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const unsigned long long bytes = static_cast<unsigned long long>(b) << 32 | a;
  unsigned result = 0;
  for (int i = 0; i < 4; i++)
    result |= static_cast<unsigned>(bytes >> (8 * (selector >> (4 * i) & 7)) & 255) << (8 * i);
  return result;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return shift &= 31, shift == 0 ? high : high << shift | low >> (32 - shift);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return shift &= 31, shift == 0 ? low : low >> shift | high << (32 - shift);
}
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int abs(int x) { return x < 0 ? -x : x; }
template <class T>
inline T __ldg(const T* pointer) {
  return *pointer;
}
inline int __dp4a(int a, int b, int c) {
  return qc_emulated::device::dp4a<false, false>(static_cast<unsigned>(a), static_cast<unsigned>(b),
                                                 c);
}

// ---- floats: one rounding each, never contracted (the compiler is told -ffp-contract=off)

extern "C" {
float expf(float) noexcept;
float exp2f(float) noexcept;
float expm1f(float) noexcept;
float logf(float) noexcept;
float log2f(float) noexcept;
float log10f(float) noexcept;
float log1pf(float) noexcept;
float sqrtf(float) noexcept;
float cbrtf(float) noexcept;
float tanhf(float) noexcept;
float sinhf(float) noexcept;
float coshf(float) noexcept;
float tanf(float) noexcept;
float sinf(float) noexcept;
float cosf(float) noexcept;
float asinf(float) noexcept;
float acosf(float) noexcept;
float atanf(float) noexcept;
float atan2f(float, float) noexcept;
float asinhf(float) noexcept;
float acoshf(float) noexcept;
float atanhf(float) noexcept;
float erff(float) noexcept;
float powf(float, float) noexcept;
float fmodf(float, float) noexcept;
float floorf(float) noexcept;
float ceilf(float) noexcept;
float truncf(float) noexcept;
float roundf(float) noexcept;
float rintf(float) noexcept;
float nearbyintf(float) noexcept;
float fabsf(float) noexcept;
float fminf(float, float) noexcept;
float fmaxf(float, float) noexcept;
float fmaf(float, float, float) noexcept;
float ldexpf(float, int) noexcept;
float copysignf(float, float) noexcept;
double rint(double) noexcept;
double fma(double, double, double) noexcept;
}
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline bool isnan(float x) { return __builtin_isnan(x); }
inline bool isinf(float x) { return __builtin_isinf(x); }
inline bool isfinite(float x) { return __builtin_isfinite(x); }
inline bool signbit(float x) { return __builtin_signbit(x); }

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __saturatef(float x) { return x >= 1.0f ? 1.0f : x > 0.0f ? x : 0.0f; }

// Conversions saturate, and NaN becomes 0, as the GPU's do.
namespace qc_emulated {
inline int to_int(float x) {
  if (__builtin_isnan(x)) return 0;
  if (x >= 2147483648.0f) return 2147483647;
  if (x <= -2147483648.0f) return -2147483647 - 1;
  return static_cast<int>(x);
}
inline unsigned to_unsigned(float x) {
  if (!(x > 0.0f)) return 0;
  return x >= 4294967296.0f ? ~0u : static_cast<unsigned>(x);
}
inline long long to_long(float x) {
  if (__builtin_isnan(x)) return -9223372036854775807LL - 1;
  if (x >= 9223372036854775808.0f) return 9223372036854775807LL;
  if (x <= -9223372036854775808.0f) return -9223372036854775807LL - 1;
  return static_cast<long long>(x);
}
}  // namespace qc_emulated
inline int __float2int_rn(float x) { return qc_emulated::to_int(rintf(x)); }
inline int __float2int_rz(float x) { return qc_emulated::to_int(x); }
inline int __float2int_rd(float x) { return qc_emulated::to_int(floorf(x)); }
inline int __float2int_ru(float x) { return qc_emulated::to_int(ceilf(x)); }
inline unsigned __float2uint_rn(float x) { return qc_emulated::to_unsigned(rintf(x)); }
inline unsigned __float2uint_rz(float x) { return qc_emulated::to_unsigned(x); }
inline long long __float2ll_rn(float x) { return qc_emulated::to_long(rintf(x)); }
inline long long __float2ll_rz(float x) { return qc_emulated::to_long(x); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
inline float __ll2float_rn(long long x) { return static_cast<float>(x); }
