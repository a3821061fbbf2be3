"""The NVIDIA driver of this machine, asked without any package."""

from __future__ import annotations

import ctypes as c
from dataclasses import dataclass

DRIVER = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76  # the driver's numbers of a device's compute capability


@dataclass(frozen=True, slots=True)
class Device:
    """The first GPU."""

    name: str
    capability: tuple[int, int]


def first_device(cuda: c.CDLL) -> Device | int:
    """The first GPU of a driver that was started, or the error that it gives."""
    device, name = c.c_int(), c.create_string_buffer(256)
    major, minor = c.c_int(), c.c_int()
    failed: int = (
        cuda.cuDeviceGet(c.byref(device), 0)
        or cuda.cuDeviceGetName(name, len(name), device)
        or cuda.cuDeviceGetAttribute(c.byref(major), _MAJOR, device)
        or cuda.cuDeviceGetAttribute(c.byref(minor), _MINOR, device)
    )
    if failed:
        return failed
    return Device(name.value.decode(errors="replace"), (major.value, minor.value))


def found_device(least: tuple[int, int] = (0, 0), *, driver: str = DRIVER) -> bool:
    """True when the driver starts and its first device has this compute capability or a later one.

    Later devices take the kernels as PTX; on earlier ones they cannot run at all.
    """
    return named_device(least, driver=driver) != ""


def named_device(
    least: tuple[int, int] = (0, 0), *, exactly: bool = False, driver: str = DRIVER
) -> str:
    """The name of the device that `found_device` means, or nothing; nothing for a later one, too,
    when it is to be exactly of this capability."""
    try:
        cuda = c.CDLL(driver)
        found = cuda.cuInit(0) or first_device(cuda)
    except (OSError, AttributeError):
        return ""
    if not isinstance(found, Device) or found.capability < least:
        return ""
    return "" if exactly and found.capability != least else found.name
