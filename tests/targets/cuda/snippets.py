"""Kernels of a few lines for tests of the compiler: one instruction each, and a small product."""

from collections.abc import Mapping

from qcompile.targets.cuda.instructions import (
    CP_ASYNC,
    DP4A,
    FP8,
    INT4,
    INT4_WIDE,
    INT8,
    INT8_WIDE,
    LDMATRIX,
    WGMMA,
)

SMALL = '"+r"(c[0]), "+r"(c[1]) : "r"(a[0]), "r"(b[0])'
WIDE = (
    '"+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3]) '
    ': "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])'
)
SMALL_TEXT = "{%0,%1}, {%2}, {%3}, {%0,%1};"
WIDE_TEXT = "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
FLOATS = WIDE.replace('"+r"(c', '"+f"(f')

ASSEMBLY: Mapping[str, str] = {
    INT8: f'"mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {SMALL_TEXT}" : {SMALL}',
    INT8_WIDE: f'"mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {WIDE_TEXT}" : {WIDE}',
    INT4: f'"mma.sync.aligned.m8n8k32.row.col.s32.u4.s4.s32 {SMALL_TEXT}" : {SMALL}',
    INT4_WIDE: f'"mma.sync.aligned.m16n8k64.row.col.s32.u4.s4.s32 {WIDE_TEXT}" : {WIDE}',
    FP8: f'"mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {WIDE_TEXT}" : {FLOATS}',
    WGMMA: '"wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8 {%0,%1,%2,%3}, %4, %5, 1;" : '
    '"+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3]) : "l"(*(long long*)a), "l"(*(long long*)b)',
    DP4A: '"dp4a.s32.s32 %0, %1, %2, %0;" : "+r"(c[0]) : "r"(a[0]), "r"(b[0])',
    LDMATRIX: '"ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" '
    ': "=r"(c[0]), "=r"(c[1]) : "r"(a[0])',
    CP_ASYNC: '"cp.async.cg.shared.global [%0], [%1], 16;" : : "r"(a[0]), "l"(p) : "memory"',
}


def one_instruction(name: str, instruction: str) -> str:
    """A kernel that does it once, on loaded values, and stores the result."""
    return f"""extern "C" __global__ void {name}(int* p) {{
  int c[4], a[4], b[2];
  float f[4];
  for (int i = 0; i < 4; i++) c[i] = p[i], a[i] = p[4 + i], f[i] = p[10 + i];
  for (int i = 0; i < 2; i++) b[i] = p[8 + i];
  asm volatile({ASSEMBLY[instruction]});
  for (int i = 0; i < 4; i++) p[i] = c[i] + (int)f[i];
}}
"""


def scaled(name: str, factor: int) -> str:
    """out = in * factor, by a function of a header."""
    return f"""#include "scale.cuh"
extern "C" __global__ void {name}(const int* v0, int* out) {{
  const int i = blockIdx.x * 256 + threadIdx.x;
  out[i] = scale(v0[i], {factor});
}}
"""


HEADERS = {"scale.cuh": "inline int scale(int x, int factor) { return x * factor; }\n"}


def kernel(name: str, body: str) -> str:
    """A kernel of one pointer to integers, `p`."""
    return f'extern "C" __global__ void {name}(int* p) {{ {body} }}\n'
