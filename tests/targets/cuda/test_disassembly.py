"""Machine code, read back: instructions of kernels, and what becomes of a T4's PTX on Hopper."""

from pathlib import Path

import pytest

from qcompile.errors import ToolchainError
from qcompile.targets.cuda import disassembly
from qcompile.targets.cuda.build import compile_kernels
from qcompile.targets.cuda.devices import A10, H100, T4
from qcompile.targets.cuda.disassembly import (
    behind_products,
    disassembler,
    sass,
    sass_counts,
    sass_forms,
)
from qcompile.targets.cuda.elf import read_cubin, read_ptx
from qcompile.targets.cuda.instructions import CP_ASYNC, INT4, INT4_WIDE, INT8, LDMATRIX
from tests.targets.cuda.assembler import assemble, library
from tests.targets.cuda.snippets import kernel, one_instruction

PROGRAM, LINKER = disassembler() or Path(), library() or Path()
DISASSEMBLED = pytest.mark.skipif(
    disassembler() is None, reason="nvidia-cuda-nvdisasm is not installed"
)
ASSEMBLED = pytest.mark.skipif(library() is None, reason="nvidia-nvjitlink-cu12 is not installed")
TEXT = """
        /*0000*/                   MOV R1, c[0x0][0x28] ;       /* 0x00000a0000017a02 */
        /*0010*/              @!P0 LDL.LU R5, [R1+0x8] ;
        /*0020*/             @!UP2 UIADD3 UR4, UR4, 0x1, URZ ;
.L_x_1:
        /*0030*/                   IMMA.8832.S4.S4 R8, R6.ROW, R2.COL, R8 ;
        /*0040*/               @P1 IMMA.8832.U4.S4 R8, R6.ROW, R2.COL, R8 ;
"""


LOOP = """
.L_x_2:
        /*0000*/                   IMMA.8832.S4.S4 R8, R6.ROW, R2.COL, R8 ;
        /*0010*/               @P1 BRA `(.L_x_3) ;
.L_x_3:
        /*0020*/               @P0 BRA `(.L_x_2) ;
        /*0030*/                   IADD3 R5, R5, 0x1, RZ ;
        /*0040*/                   EXIT ;
"""


def built(source, chip):
    return compile_kernels({"one": source}, chip, headers={}, cache=None, threads=1)["one"]


def code(source, chip):
    return sass(built(source, chip).cubin, PROGRAM)


def test_instructions_count_with_or_without_a_predicate():
    assert sass_counts(TEXT) == {"MOV": 1, "LDL": 1, "UIADD3": 1, "IMMA": 2}


def test_finishing_is_behind_the_branch_back_to_the_products():
    assert sass_counts(behind_products(LOOP)) == {"IADD3": 1, "EXIT": 1}


def test_what_is_not_there_counts_0():
    assert sass_counts(TEXT)["LDSM"] == 0


def test_forms_tell_signs_apart():
    assert sass_forms(TEXT, "IMMA") == {"IMMA.8832.S4.S4": 1, "IMMA.8832.U4.S4": 1}


def test_without_the_package_there_is_no_disassembler(monkeypatch):
    monkeypatch.setattr(disassembly, "PACKAGE", "nvidia-no-such-package")
    assert disassembler() is None


@DISASSEMBLED
def test_what_is_no_machine_code_is_refused():
    with pytest.raises(ToolchainError, match="does not read the machine code"):
        sass(b"nothing", PROGRAM)


@DISASSEMBLED
@pytest.mark.parametrize(
    ("chip", "instruction", "form"),
    [
        (T4, INT8, "IMMA.8816.U8.S8"),
        (T4, INT4, "IMMA.8832.U4.S4"),
        (A10, INT4_WIDE, "IMMA.16864.U4.S4"),
        (T4, LDMATRIX, "LDSM.16.M88.2"),
        (A10, CP_ASYNC, "LDGSTS.E.BYPASS.128"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_tensor_core_does_the_product(chip, instruction, form):
    text = code(one_instruction("one", instruction), chip)
    assert sass_forms(text, form.partition(".")[0]) == {form: 1}


@DISASSEMBLED
def test_local_memory_shows_as_ldl_and_stl():
    body = "int r[100]; for (int i = 0; i < 100; i++) r[p[i] % 100] = i; *p = r[*p];"
    counts = sass_counts(code(kernel("one", body), T4))
    assert counts["LDL"] > 0
    assert counts["STL"] > 0


@DISASSEMBLED
def test_the_4_bit_kernel_compiles_for_hopper_without_4_bit_instructions():
    text = code(one_instruction("one", INT4), H100)
    assert sass_forms(text, "IMMA") == {"IMMA.8816.U8.S8": 2}


@ASSEMBLED
def test_the_ptx_of_a_t4_kernel_assembles_for_hopper():
    ptx = built(one_instruction("one", INT4), T4).ptx
    assert read_ptx(ptx).arch == "sm_75"
    assert read_cubin(assemble(ptx, "sm_90", LINKER)).sm == 90


@ASSEMBLED
@DISASSEMBLED
def test_the_assembled_ptx_multiplies_by_two_8_bit_products():
    ptx = built(one_instruction("one", INT4), T4).ptx
    text = sass(assemble(ptx, "sm_90", LINKER), PROGRAM)
    assert sass_forms(text, "IMMA") == {"IMMA.8816.U8.S8": 2}
