"""Is there a GPU on this machine that can run a chip's kernels?"""

from __future__ import annotations

import ctypes as c

DRIVER = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76  # the driver's numbers of a device's compute capability


def found_device(least: tuple[int, int] = (0, 0), *, driver: str = DRIVER) -> bool:
    """True when the driver starts and its first device has this compute capability or a later one.

    Later devices take the kernels as PTX; on earlier ones they cannot run at all.
    """
    try:
        library = c.CDLL(driver)
        device, major, minor = c.c_int(), c.c_int(), c.c_int()
        failed = (
            library.cuInit(c.c_uint(0))
            or library.cuDeviceGet(c.byref(device), 0)
            or library.cuDeviceGetAttribute(c.byref(major), _MAJOR, device)
            or library.cuDeviceGetAttribute(c.byref(minor), _MINOR, device)
        )
    except (OSError, AttributeError):
        return False
    return not failed and (major.value, minor.value) >= least
