"""What images say of themselves: real ones of the compiler, and headers of the next ABI."""

import struct

import pytest

from qcompile.errors import ArtifactError
from qcompile.targets.cuda.build import compile_kernels
from qcompile.targets.cuda.devices import CHIPS, T4
from qcompile.targets.cuda.elf import Cubin, Ptx, read_cubin, read_ptx
from tests.targets.cuda.snippets import kernel


def header(*, machine=190, os_abi=0x33, abi=7, flags=0x4B054B, order=1):
    start = struct.pack("<4s5B7x", b"\x7fELF", 2, order, 1, os_abi, abi)
    return start + struct.pack("<2HI3QI", 2, machine, 1, 0, 0, 0, flags)


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
def test_machine_code_names_its_sm(chip):
    source = {"one": kernel("one", "*p = 1;")}
    built = compile_kernels(source, chip, headers={}, cache=None, threads=1)["one"]
    major, minor = chip.capability
    assert read_cubin(built.cubin) == Cubin(0x33, 7, 10 * major + minor, 12000)
    assert read_ptx(built.ptx) == Ptx((8, 4), chip.arch, 12040)


def test_cuda_13_moved_the_sm_and_needs_a_newer_driver():
    found = read_cubin(header(os_abi=0x41, abi=8, flags=0x6004B04))
    assert found == Cubin(0x41, 8, 75, 13000)


def test_cuda_12_runs_from_the_first_driver_of_12_on():
    assert read_cubin(header()) == Cubin(0x33, 7, 75, 12000)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x7fELF", "too short"),
        (header(order=2), "not a 64-bit little-endian ELF"),
        (b"PK" + header()[2:], "not a 64-bit little-endian ELF"),
        (header(machine=62), "ELF machine 62 is not an NVIDIA GPU"),
        (header(abi=9), "ABI version 9 is unknown, known are 7, 8"),
    ],
    ids=["short", "big-endian", "zip", "x86", "future"],
)
def test_other_files_are_refused(data, reason):
    with pytest.raises(ArtifactError, match=reason):
        read_cubin(data)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b".target sm_75\n", "names no .version and .target"),
        (b".version 8.4\n", "names no .version and .target"),
        (b".version 99.1\n.target sm_75\n", "PTX version 99.1 is unknown"),
    ],
    ids=["no version", "no target", "future"],
)
def test_text_that_is_no_known_ptx_is_refused(text, reason):
    with pytest.raises(ArtifactError, match=reason):
        read_ptx(text)


def test_an_architecture_with_features_keeps_its_letter():
    assert read_ptx(b".version 8.0\n.target sm_90a, texmode\n").arch == "sm_90a"


def test_t4_is_what_the_measured_flags_say():
    assert read_cubin(header()).sm == 10 * T4.capability[0] + T4.capability[1]
