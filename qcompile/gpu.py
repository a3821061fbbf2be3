"""The NVIDIA driver of this machine, asked without any package."""

from __future__ import annotations

import ctypes

DRIVER = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76  # the driver's numbers of a device's compute capability


def gpu(driver: str = DRIVER) -> str:
    """`CUDA 12.4: Tesla T4 (sm_75)` of the first GPU; the version alone where a driver has none;
    empty without a driver. A driver that fails says so."""
    try:
        cuda = ctypes.CDLL(driver)
    except OSError:
        return ""
    number = ctypes.c_int()
    if cuda.cuDriverGetVersion(ctypes.byref(number)):
        return "a driver that does not tell its version"
    version = f"CUDA {number.value // 1000}.{number.value % 1000 // 10}"
    status = cuda.cuInit(0)
    return f"{version}: {_device(cuda)}" if status == 0 else f"{version}, no GPU (error {status})"


def _device(cuda: ctypes.CDLL) -> str:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    major, minor = ctypes.c_int(), ctypes.c_int()
    failed = (
        cuda.cuDeviceGet(ctypes.byref(device), 0)
        or cuda.cuDeviceGetName(name, len(name), device)
        or cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
        or cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    )
    if failed:
        return f"no GPU (error {failed})"
    return f"{name.value.decode(errors='replace')} (sm_{major.value}{minor.value})"
