"""The GPU driver: absent, without a GPU, with one; by libraries with the driver's entry points."""

import subprocess

import pytest

from qcompile.gpu import gpu

SOURCE = r"""
#include <string.h>
int cuDriverGetVersion(int *version) { *version = 12040; return VERSION_STATUS; }
int cuInit(unsigned flags) { return INIT_STATUS; }
int cuDeviceGet(int *device, int ordinal) { *device = 7; return DEVICE_STATUS; }
int cuDeviceGetName(char *name, int size, int device) {
  strncpy(name, device == 7 ? "Tesla T4" : "?", size);
  return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? 7 : attribute == 76 ? 5 : -1;
  return 0;
}
"""


def driver(folder, *, version=0, init=0, device=0):
    library = folder / "libcuda.so"
    defines = [f"-DVERSION_STATUS={version}", f"-DINIT_STATUS={init}", f"-DDEVICE_STATUS={device}"]
    command = ["cc", "-shared", "-fPIC", *defines, "-o", str(library), "-x", "c", "-"]
    subprocess.run(command, input=SOURCE, text=True, check=True)
    return str(library)


def test_without_a_driver_there_is_nothing():
    assert gpu("libcuda-no-such.so") == ""


def test_the_first_gpu_is_named_with_its_architecture(tmp_path):
    assert gpu(driver(tmp_path)) == "CUDA 12.4: Tesla T4 (sm_75)"


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"init": 100}, "CUDA 12.4, no GPU (error 100)"),
        ({"device": 101}, "CUDA 12.4: no GPU (error 101)"),
        ({"version": 3}, "a driver that does not tell its version"),
    ],
    ids=["no device", "device lost", "broken"],
)
def test_a_driver_that_fails_says_so(tmp_path, faults, says):
    assert gpu(driver(tmp_path, **faults)) == says
