"""The gates: kernels that pass, and each way of failing, from real compilations."""

from dataclasses import replace

import pytest

from qcompile.errors import ToolchainError
from qcompile.targets.cuda.build import compile_kernels
from qcompile.targets.cuda.devices import A10, A100, H100, KIB, T4
from qcompile.targets.cuda.gates import Limit, check_counts, check_resources, limit, ptx_counts
from qcompile.targets.cuda.instructions import CP_ASYNC, DP4A, INT4, INT4_WIDE, LDMATRIX
from tests.targets.cuda.snippets import kernel, one_instruction

GOOD = kernel("good", "p[threadIdx.x] *= 3;")
STACK = kernel("stack", "int r[100]; for (int i = 0; i < 100; i++) r[p[i] % 100] = i; *p = r[*p];")
SPILLS = """extern "C" __global__ void __launch_bounds__(1024) spills(int* p) {
  int r[200];
  for (int i = 0; i < 200; i++) r[i] = p[i * 7 + threadIdx.x];
  for (int j = 0; j < p[0]; j++) {
#pragma unroll
    for (int i = 0; i < 200; i++) r[i] = r[i] * r[(i + 37) % 200] + j;
  }
  for (int i = 0; i < 200; i++) p[i + threadIdx.x * 200] = r[i];
}
"""
WIDE = Limit(registers=255, shared=48 * KIB)


@pytest.fixture(scope="module")
def kernels():
    sources = {"good": GOOD, "stack": STACK, "spills": SPILLS}
    return compile_kernels(sources, T4, headers={}, cache=None, threads=2)


def test_a_kernel_in_registers_passes(kernels):
    check_resources(kernels["good"], limit(T4, threads=1024))


def test_a_stack_is_refused_with_its_size(kernels):
    with pytest.raises(ToolchainError, match="kernel stack: a stack of 400 bytes"):
        check_resources(kernels["stack"], WIDE)


def test_spills_are_refused_with_their_sizes(kernels):
    with pytest.raises(ToolchainError, match=r"\d+ bytes of spill stores, \d+ bytes of spill load"):
        check_resources(kernels["spills"], WIDE)


def test_too_many_registers_are_refused_with_both_numbers(kernels):
    greedy = replace(kernels["good"], registers=129)
    with pytest.raises(ToolchainError, match="kernel good: 129 registers where 128 fit"):
        check_resources(greedy, limit(T4, threads=512))


def test_as_many_registers_as_fit_pass(kernels):
    check_resources(replace(kernels["good"], registers=128), limit(T4, threads=512))


def test_static_shared_memory_shares_with_dynamic(kernels):
    static = replace(kernels["good"], shared_static=KIB + 1)
    with pytest.raises(ToolchainError, match="1025 bytes of static shared memory where 1024"):
        check_resources(static, limit(T4, threads=256, dynamic_shared=63 * KIB))


def test_dynamic_shared_memory_beyond_the_block_is_refused(kernels):
    with pytest.raises(ToolchainError, match="where -1024 are left"):
        check_resources(kernels["good"], limit(T4, threads=256, dynamic_shared=65 * KIB))


@pytest.mark.parametrize(
    ("chip", "threads", "blocks", "registers", "shared"),
    [
        (T4, 128, 1, 255, 64 * KIB),
        (T4, 256, 1, 255, 64 * KIB),
        (T4, 256, 2, 128, 32 * KIB),
        (T4, 1024, 1, 64, 64 * KIB),
        (T4, 200, 2, 144, 32 * KIB),  # 7 warps each, and registers come in eights
        (A100, 128, 2, 255, 81 * KIB),  # the system keeps 1 KiB of each block
        (A10, 256, 1, 255, 99 * KIB),
        (H100, 384, 1, 168, 227 * KIB),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_blocks_that_share_an_sm_divide_it(chip, threads, blocks, registers, shared):
    assert limit(chip, threads=threads, blocks=blocks) == Limit(registers, shared)


@pytest.mark.parametrize(
    ("chip", "instruction", "name"),
    [
        (T4, INT4, "mma.sync"),
        (A10, INT4_WIDE, "mma.sync"),
        (T4, LDMATRIX, "ldmatrix"),
        (A10, CP_ASYNC, "cp.async.cg"),
        (T4, DP4A, "dp4a"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_ptx_counts_find_the_instruction(chip, instruction, name):
    source = {"one": one_instruction("one", instruction)}
    found = ptx_counts(compile_kernels(source, chip, headers={}, cache=None, threads=1)["one"].ptx)
    assert {one: n for one, n in found.items() if n} == {name: 1}


def test_ptx_counts_see_predicates_and_not_longer_names():
    text = b"\t@%p1 bar.sync \t0;\n\t@!%p2 mma.sync.aligned.m8n8k16 x;\n\tmma.synchronous y;\n"
    found = ptx_counts(text + b"\tst.local.u32 [a], b;\n\tst.locally c;\n")
    assert (found["bar.sync"], found["mma.sync"], found["st.local"]) == (1, 1, 1)


def test_counts_as_designed_pass():
    check_counts("one", {"IMMA": 128, "MOV": 3}, {"IMMA": 128, "LDL": 0})


def test_every_count_that_differs_is_named():
    with pytest.raises(ToolchainError, match=r"kernel one .*: 64 IMMA where 128 .*, 2 LDL where 0"):
        check_counts("one", {"IMMA": 64, "LDL": 2}, {"IMMA": 128, "LDL": 0, "STL": 0})
