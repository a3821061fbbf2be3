"""Kernels one after another in one file, and the image that says where each is."""

from __future__ import annotations

from collections.abc import Mapping

from qcompile.targets.checksum import fingerprint
from qcompile.targets.cuda.plan import Image

ALIGN = 64


def contain(
    arch: str, kernels: Mapping[str, bytes], *, min_driver: int, elf_abi: int = 0
) -> tuple[Image, bytes]:
    """The image and its file's bytes: `kernels-sm_75.bin`, `kernels-ptx.bin`.

    Each kernel's cubin (`sm_75`) or PTX text (`ptx_75`) begins at a multiple of 64; a text ends
    with a zero. `min_driver`: 1000 · major + 10 · minor of the first CUDA that takes them.
    """
    is_text = arch.startswith("ptx_")
    data, entries = bytearray(), dict[str, tuple[int, int]]()
    for name, kernel in kernels.items():
        whole = kernel.rstrip(b"\0") + b"\0" if is_text else kernel
        entries[name] = (len(data), len(whole))
        data += whole + bytes(-len(whole) % ALIGN)
    content = bytes(data)
    file = "kernels-ptx.bin" if is_text else f"kernels-{arch}.bin"
    image = Image(arch, file, len(content), fingerprint([content]), entries, min_driver, elf_abi)
    return image, content
