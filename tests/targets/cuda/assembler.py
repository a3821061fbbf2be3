"""PTX → machine code by the linker library that a driver's own assembler shares its code with.

The package nvidia-nvjitlink-cu12 is optional and serves tests only.
"""

import ctypes
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PACKAGE, PTX = "nvidia-nvjitlink-cu12", 2


def library() -> Path | None:
    """The package's library, or None where it is not installed."""
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        return None
    files = [Path(str(package.locate_file(file))) for file in package.files or ()]
    return next(path for path in files if path.name.startswith("libnvJitLink.so"))


def assemble(ptx: bytes, arch: str, path: Path) -> bytes:
    """Machine code for the architecture; AssertionError with the log when it is refused."""
    linker = ctypes.CDLL(str(path))
    handle, size = ctypes.c_void_p(), ctypes.c_size_t()

    def call(name, *arguments):
        status = getattr(linker, f"__nvJitLink{name}_12_4")(*arguments)
        assert status == 0, f"nvJitLink{name} gives {status}: {log()}"

    def log():
        linker.__nvJitLinkGetErrorLogSize_12_4(handle, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value + 1)
        linker.__nvJitLinkGetErrorLog_12_4(handle, text)
        return text.value.decode()

    options = (ctypes.c_char_p * 1)(f"-arch={arch}".encode())
    call("Create", ctypes.byref(handle), 1, options)
    call("AddData", handle, PTX, ptx + b"\0", len(ptx) + 1, b"kernel.ptx")
    call("Complete", handle)
    call("GetLinkedCubinSize", handle, ctypes.byref(size))
    code = ctypes.create_string_buffer(size.value)
    call("GetLinkedCubin", handle, code)
    call("Destroy", ctypes.byref(handle))
    return code.raw
