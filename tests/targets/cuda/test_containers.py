"""Kernels in one file: each where the image says, at its alignment, texts with an end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.targets.checksum import fingerprint
from qcompile.targets.cuda.containers import ALIGN, contain

NAMES = st.text("abcxyz", min_size=1, max_size=5)
CUBINS = st.dictionaries(NAMES, st.binary(min_size=1, max_size=300), max_size=5)


@given(CUBINS)
def test_every_kernel_is_where_the_image_says(kernels: dict[str, bytes]):
    image, data = contain("sm_80", kernels, min_driver=12000, elf_abi=7)
    found = {name: data[at : at + size] for name, (at, size) in image.entries.items()}
    assert found == kernels
    assert all(at % ALIGN == 0 for at, _ in image.entries.values())


@given(CUBINS)
def test_the_image_vouches_for_the_file(kernels: dict[str, bytes]):
    image, data = contain("sm_80", kernels, min_driver=12000)
    assert (image.bytes, image.fingerprint) == (len(data), fingerprint([data]))
    assert len(data) % ALIGN == 0


@pytest.mark.parametrize("text", [b"// PTX", b"// PTX\0", b"// PTX\0\0"])
def test_a_text_ends_with_one_zero(text: bytes):
    image, data = contain("ptx_75", {"k": text}, min_driver=12040)
    at, size = image.entries["k"]
    assert data[at : at + size] == b"// PTX\0"


@pytest.mark.parametrize(
    ("arch", "name"), [("sm_75", "sm_75"), ("sm_90a", "sm_90a"), ("ptx_75", "ptx")]
)
def test_the_file_is_named_by_what_it_is_for(arch: str, name: str):
    assert contain(arch, {}, min_driver=0)[0].file == f"kernels-{name}.bin"


def test_what_the_driver_must_be_is_kept():
    image, _ = contain("sm_75", {}, min_driver=12040, elf_abi=7)
    assert (image.min_driver, image.elf_abi) == (12040, 7)
