"""The assembler's log, as it really writes it."""

from qcompile.targets.cuda.ptxas import Usage, usage

PLAIN = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'k' for 'sm_75'
ptxas info    : Function properties for k
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 18 registers, 368 bytes cmem[0]
"""
SPILLING = """one.cu(3): warning #177-D: variable "x" was declared but never referenced
ptxas info    : Compiling entry function 'k' for 'sm_75'
ptxas info    : Function properties for k
ptxas         .     696 bytes stack frame, 1380 bytes spill stores, 1384 bytes spill loads
ptxas info    : Used 64 registers, 696 bytes cumulative stack size, 256 bytes smem
"""
CALLING = """ptxas info    : Compiling entry function 'outer' for 'sm_75'
ptxas info    : Function properties for outer
ptxas         .     8 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, 208 bytes cumulative stack size, 360 bytes cmem[0]
ptxas info    : Function properties for _Z1gPii
ptxas         .     200 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
"""


def test_a_plain_kernel_uses_registers_only():
    assert usage(PLAIN) == {"k": Usage(18, 0, 0, 0, 0)}


def test_stack_spills_and_static_shared_memory_are_read():
    assert usage(SPILLING) == {"k": Usage(64, 696, 1380, 1384, 256)}


def test_a_called_function_counts_as_the_kernels_own():
    assert usage(CALLING) == {"outer": Usage(40, 208, 4, 12, 0)}


def test_each_kernel_has_its_own_line():
    assert list(usage(PLAIN + CALLING)) == ["k", "outer"]


def test_a_log_without_kernels_has_none():
    assert usage("") == {}
