"""The table of instructions against the compiler: what it refuses, what it makes of the rest."""

import pytest

from qcompile.errors import ToolchainError
from qcompile.targets.cuda.devices import CHIPS, H100, T4
from qcompile.targets.cuda.disassembly import disassembler, sass, sass_counts
from qcompile.targets.cuda.instructions import FP8, INT4, INT4_WIDE, INT8, INT8_WIDE
from qcompile.targets.cuda.nvrtc import Job, Worker, installed
from tests.targets.cuda.snippets import ASSEMBLY, one_instruction

PRODUCTS = {INT8: "IMMA", INT8_WIDE: "IMMA", INT4: "IMMA", INT4_WIDE: "IMMA", FP8: "QMMA"}


def pairs(kinds, names):
    return pytest.mark.parametrize(
        ("chip", "instruction"),
        [
            pytest.param(chip, name, id=f"{chip.name} {name}")
            for chip in CHIPS.values()
            for name in names
            if chip.instructions[name].kind in kinds
        ],
    )


PROGRAM = disassembler()
DISASSEMBLED = pytest.mark.skipif(PROGRAM is None, reason="nvidia-cuda-nvdisasm is not installed")


@pytest.fixture(scope="module")
def worker():
    with Worker(installed()) as one:
        yield one


def compiled(worker, chip, instruction):
    options = ("--std=c++17", f"--gpu-architecture={chip.arch}")
    return worker.compile(Job("one", one_instruction("one", instruction), {}, options))


def machine(worker, chip, instruction):
    assert PROGRAM is not None
    return sass_counts(sass(compiled(worker, chip, instruction).cubin, PROGRAM))


@pairs(("native", "emulated"), ASSEMBLY)
def test_the_compiler_takes_what_is_native_or_emulated(worker, chip, instruction):
    assert compiled(worker, chip, instruction).cubin != b""


@pairs(("absent",), ASSEMBLY)
def test_the_compiler_refuses_what_is_absent(worker, chip, instruction):
    with pytest.raises(ToolchainError, match="kernel one: NVRTC refuses"):
        compiled(worker, chip, instruction)


@DISASSEMBLED
@pairs(("native",), PRODUCTS)
def test_a_native_product_is_one_machine_instruction(worker, chip, instruction):
    assert machine(worker, chip, instruction)[PRODUCTS[instruction]] == 1


@DISASSEMBLED
@pairs(("emulated",), PRODUCTS)
def test_an_emulated_product_is_two_of_a_wider_type(worker, chip, instruction):
    counts = machine(worker, chip, instruction)
    assert counts["IMMA"] + counts["HMMA"] == 2


def test_turing_lacks_the_wide_shapes_and_hopper_the_narrow_types():
    assert T4.instructions[INT4_WIDE].kind == T4.instructions[INT8_WIDE].kind == "absent"
    assert H100.instructions[INT4].kind == H100.instructions[INT4_WIDE].kind == "emulated"
