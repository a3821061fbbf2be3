"""Is there a GPU with a driver on this machine?"""

from __future__ import annotations

import ctypes as c

DRIVER = "libcuda.so.1"


def found_device(driver: str = DRIVER) -> bool:
    """True when the driver loads, starts and sees a device."""
    try:
        library = c.CDLL(driver)
        count = c.c_int()
        started = library.cuInit(c.c_uint(0)) == 0
        return started and library.cuDeviceGetCount(c.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False
