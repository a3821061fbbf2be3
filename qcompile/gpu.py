"""The GPU of this machine in words."""

from __future__ import annotations

import ctypes

from qcompile.targets.cuda.driver import DRIVER, Device, first_device


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
    match first_device(cuda):
        case Device(name=name, capability=(major, minor)):
            return f"{name} (sm_{major}{minor})"
        case error:
            return f"no GPU (error {error})"
