"""Every name of the device header compiles for the GPU, to the instruction it stands for."""

import pytest

from qcompile.errors import ToolchainError
from qcompile.targets.cuda.emulator import device_headers
from qcompile.targets.cuda.nvrtc import Job, Worker, installed
from tests.targets.cuda.device_functions import EXPRESSIONS, expression_kernel
from tests.targets.cuda.device_kernels import (
    ASYNC,
    LOADS,
    TILE,
    VECTORS,
    product_kernel,
    product_name,
)

TURING, AMPERE = ("sm_75", "sm_80", "sm_90"), ("sm_80", "sm_90")
MMA = "mma.sync.aligned.{}.row.col.s32.{}.{}.s32"
INSTRUCTIONS = [
    ("mma_m8n8k16", "true", TURING, MMA.format("m8n8k16", "u8", "s8")),
    ("mma_m8n8k16", "false", TURING, MMA.format("m8n8k16", "s8", "s8")),
    ("mma_m8n8k32", "true", TURING, MMA.format("m8n8k32", "u4", "s4")),
    ("mma_m8n8k32", "false", TURING, MMA.format("m8n8k32", "s4", "s4")),
    ("mma_m16n8k32", "true", AMPERE, MMA.format("m16n8k32", "u8", "s8")),
    ("mma_m16n8k32", "false", AMPERE, MMA.format("m16n8k32", "s8", "s8")),
    ("mma_m16n8k64", "true", AMPERE, MMA.format("m16n8k64", "u4", "s4")),
    ("mma_m16n8k64", "false", AMPERE, MMA.format("m16n8k64", "s4", "s4")),
]
PTX_CASES = [
    *(
        (arch, product_name(name, sign, tile), product_kernel(name, sign, tile), (text,))
        for name, sign, archs, text in INSTRUCTIONS
        for arch in archs
        for tile in ((1, 1), TILE)
    ),
    *(
        (arch, f"ldmatrix_{n}", LOADS[n], (f"ldmatrix.sync.aligned.m8n8.x{n}.shared.b16",))
        for arch in TURING
        for n in (2, 4)
    ),
    *(
        (
            arch, "vectors", VECTORS,
            ("st.shared.v4.u32", "ld.shared.v4.u32", "ld.global.nc.v4.u32", "st.global.v2.u32"),
        )
        for arch in TURING
    ),
    *(
        (
            arch, "copies", ASYNC,
            ("cp.async.cg.shared.global", "cp.async.commit_group", "cp.async.wait_group 1"),
        )
        for arch in AMPERE
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def compiler():
    with Worker(installed()) as worker:
        yield worker


def compiled(compiler, arch, name, source):
    options = ("--std=c++17", f"--gpu-architecture={arch}")
    return compiler.compile(Job(name, source, device_headers(), options))


@pytest.mark.parametrize("case", PTX_CASES, ids=lambda case: f"{case[1]}-{case[0]}")
def test_a_wrapper_is_its_instruction(compiler, case):
    arch, name, source, instructions = case
    ptx = compiled(compiler, arch, name, source).ptx.decode()
    assert [text for text in instructions if text not in ptx] == []


@pytest.mark.parametrize("case", EXPRESSIONS, ids=lambda case: case.name)
def test_a_function_compiles_for_the_gpu(compiler, case):
    assert compiled(compiler, "sm_75", case.name, expression_kernel(case)).ptx


def test_a_tile_is_as_many_instructions_as_fragments(compiler):
    name, sign = "mma_m8n8k16", "false"
    ptx = compiled(compiler, "sm_75", name, product_kernel(name, sign, TILE)).ptx.decode()
    assert ptx.count("mma.sync") == TILE[0] * TILE[1]


@pytest.mark.parametrize("source", [ASYNC, product_kernel("mma_m16n8k32", "true", (1, 1))])
def test_turing_refuses_what_it_lacks(compiler, source):
    with pytest.raises(ToolchainError, match="has no member"):
        compiled(compiler, "sm_75", "newer", source)
