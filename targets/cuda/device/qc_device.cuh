// One name per instruction, two bodies: PTX on the GPU, the CPU emulator when QC_EMU is defined.
//
// Fragments are those of the PTX manual. A holds activations (rows), B holds weights (columns), and
// element 0 of a 4-bit pair sits in the low nibble. UNSIGNED says whether A is u8/u4 or s8/s4; B is
// always signed. Sums are int32 and wrap.
//
// Prefer the `_tile` forms in main loops: the same instructions on the GPU, and one meeting of the
// warp in the emulator for the whole tile (an order of magnitude faster there).
#pragma once

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;

#ifdef QC_EMU
#include "qc_emulator.hpp"
namespace qc {
using namespace ::qc_emulated::device;
}
#define QC_SHARED(name) unsigned char* const name = ::qc_emulated::current()->shared
#else

// Dynamic shared memory as bytes; 128-byte alignment puts byte 0 on bank 0.
#define QC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
// The emulator registers kernels by this line; the GPU finds them by their symbol.
#define QC_KERNEL(name)

namespace qc {

#define QC_INLINE __device__ __forceinline__

QC_INLINE unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// ---- matrix products

#define QC_MMA_M8(name, shape, bits)                                                             \
  template <bool UNSIGNED>                                                                       \
  QC_INLINE void name(int (&c)[2], unsigned a, unsigned b) {                                     \
    if (UNSIGNED)                                                                                \
      asm volatile("mma.sync.aligned." shape ".row.col.s32.u" bits ".s" bits                     \
                   ".s32 {%0,%1},{%2},{%3},{%0,%1};"                                             \
                   : "+r"(c[0]), "+r"(c[1])                                                      \
                   : "r"(a), "r"(b));                                                            \
    else                                                                                         \
      asm volatile("mma.sync.aligned." shape ".row.col.s32.s" bits ".s" bits                     \
                   ".s32 {%0,%1},{%2},{%3},{%0,%1};"                                             \
                   : "+r"(c[0]), "+r"(c[1])                                                      \
                   : "r"(a), "r"(b));                                                            \
  }                                                                                              \
  template <bool UNSIGNED, int ROWS, int COLUMNS>                                                \
  QC_INLINE void name##_tile(int (&c)[ROWS][COLUMNS][2], const unsigned (&a)[ROWS],              \
                             const unsigned (&b)[COLUMNS]) {                                     \
    _Pragma("unroll") for (int i = 0; i < ROWS; i++)                                             \
        _Pragma("unroll") for (int j = 0; j < COLUMNS; j++) name<UNSIGNED>(c[i][j], a[i], b[j]); \
  }

QC_MMA_M8(mma_m8n8k16, "m8n8k16", "8")
QC_MMA_M8(mma_m8n8k32, "m8n8k32", "4")

#if __CUDA_ARCH__ >= 800
#define QC_MMA_M16(name, shape, bits)                                                            \
  template <bool UNSIGNED>                                                                       \
  QC_INLINE void name(int (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {             \
    if (UNSIGNED)                                                                                \
      asm volatile("mma.sync.aligned." shape ".row.col.s32.u" bits ".s" bits                     \
                   ".s32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"                     \
                   : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])                              \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));          \
    else                                                                                         \
      asm volatile("mma.sync.aligned." shape ".row.col.s32.s" bits ".s" bits                     \
                   ".s32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"                     \
                   : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])                              \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));          \
  }                                                                                              \
  template <bool UNSIGNED, int ROWS, int COLUMNS>                                                \
  QC_INLINE void name##_tile(int (&c)[ROWS][COLUMNS][4], const unsigned (&a)[ROWS][4],           \
                             const unsigned (&b)[COLUMNS][2]) {                                  \
    _Pragma("unroll") for (int i = 0; i < ROWS; i++)                                             \
        _Pragma("unroll") for (int j = 0; j < COLUMNS; j++) name<UNSIGNED>(c[i][j], a[i], b[j]); \
  }

QC_MMA_M16(mma_m16n8k32, "m16n8k32", "8")
QC_MMA_M16(mma_m16n8k64, "m16n8k64", "4")
#endif

// c + Σ a[i]·b[i] over four bytes; each operand's signedness is named.
template <bool A_UNSIGNED, bool B_UNSIGNED = false>
QC_INLINE int dp4a(unsigned a, unsigned b, int c) {
  int sum;
  if (A_UNSIGNED && B_UNSIGNED)
    asm("dp4a.u32.u32 %0,%1,%2,%3;" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
  else if (A_UNSIGNED)
    asm("dp4a.u32.s32 %0,%1,%2,%3;" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
  else if (B_UNSIGNED)
    asm("dp4a.s32.u32 %0,%1,%2,%3;" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
  else
    asm("dp4a.s32.s32 %0,%1,%2,%3;" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
  return sum;
}

// ---- shared memory

// Lane 8·m + r names row r of matrix m; a row is 16 bytes, 16-byte aligned.
QC_INLINE void ldmatrix_x4(unsigned (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
QC_INLINE void ldmatrix_x2(unsigned (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1},[%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}

// Plain vector accesses; named so that the emulator checks them and counts their bank conflicts.
QC_INLINE void shared_store16(void* shared, uint4 value) { *static_cast<uint4*>(shared) = value; }
QC_INLINE void shared_store8(void* shared, uint2 value) { *static_cast<uint2*>(shared) = value; }
QC_INLINE void shared_store4(void* shared, unsigned value) {
  *static_cast<unsigned*>(shared) = value;
}
QC_INLINE uint4 shared_load16(const void* shared) { return *static_cast<const uint4*>(shared); }
QC_INLINE uint2 shared_load8(const void* shared) { return *static_cast<const uint2*>(shared); }
QC_INLINE unsigned shared_load4(const void* shared) {
  return *static_cast<const unsigned*>(shared);
}

#if __CUDA_ARCH__ >= 800
// The copy lands when `cp_async_wait` says so; with `copy` false the 16 bytes become zero and the
// source is not read.
QC_INLINE void cp_async16(void* shared, const void* global, bool copy) {
  const int bytes = copy ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0],[%1],16,%2;" ::"r"(shared_address(shared)),
               "l"(__cvta_generic_to_global(global)), "r"(bytes)
               : "memory");
}
QC_INLINE void cp_async16(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0],[%1],16;" ::"r"(shared_address(shared)),
               "l"(__cvta_generic_to_global(global))
               : "memory");
}
QC_INLINE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most N of this thread's newest groups are under way.
template <int N>
QC_INLINE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}
#endif

// ---- global memory, 16-byte aligned (8, 4) vectors

QC_INLINE uint4 global_load16(const void* global) {
  return __ldg(static_cast<const uint4*>(global));
}
QC_INLINE uint2 global_load8(const void* global) {
  return __ldg(static_cast<const uint2*>(global));
}
QC_INLINE unsigned global_load4(const void* global) {
  return __ldg(static_cast<const unsigned*>(global));
}
QC_INLINE void global_store16(void* global, uint4 value) { *static_cast<uint4*>(global) = value; }
QC_INLINE void global_store8(void* global, uint2 value) { *static_cast<uint2*>(global) = value; }
QC_INLINE void global_store4(void* global, unsigned value) {
  *static_cast<unsigned*>(global) = value;
}

}  // namespace qc
#endif
