"""The emulator switches stacks on aarch64, too."""

import shutil
import subprocess

import pytest

from qcompile.targets.cuda.emulator import emulator_library
from tests.targets.cuda import gemm

COMPILER, CC, QEMU = "aarch64-linux-gnu-g++", "aarch64-linux-gnu-gcc", "qemu-aarch64"
MISSING = [tool for tool in (COMPILER, CC, QEMU) if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]


@pytest.fixture(scope="module")
def library(emulator_cache):
    sources = {kernel: gemm.source(kernel) for kernel in gemm.KERNELS}
    return emulator_library(
        sources, cache=emulator_cache, includes=gemm.headers(), compiler=(COMPILER,)
    )


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    made = tmp_path_factory.mktemp("host") / "host"
    source = gemm.FOLDER / "host.c"
    subprocess.run([CC, "-std=gnu11", "-O1", str(source), "-o", str(made), "-ldl"], check=True)
    return made


@pytest.mark.parametrize("kernel", gemm.KERNELS)
def test_a_matrix_product_is_plain_loops(library, host, kernel):
    bits = kernel.split("_s")[1]
    done = subprocess.run(
        [QEMU, "-L", "/usr/aarch64-linux-gnu", str(host), str(library), kernel, bits,
         str(gemm.shared(kernel))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("equal\n", "")
