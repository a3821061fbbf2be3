"""Compiled kernels, plan, runtime and emulator together: one artifact from end to end."""

import ctypes
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qcompile.errors import ArtifactError, ToolchainError
from qcompile.targets.cuda.build import Kernel, compile_kernels
from qcompile.targets.cuda.containers import contain
from qcompile.targets.cuda.devices import T4
from qcompile.targets.cuda.emulator import emulator_library
from qcompile.targets.cuda.library import CudaLibrary
from qcompile.targets.cuda.nvrtc import installed
from qcompile.targets.cuda.plan import Arena, Launch, Phase
from tests.targets.cuda.small_model import (
    LAUNCHES,
    PLAN_SMALL,
    Place,
    drawn,
    low_halves,
    quantized,
    raw_result,
    real_result,
    weighted,
    written,
)  # fmt: skip

INDEX = "const int i = blockIdx.x * blockDim.x + threadIdx.x;"
SOURCES = {
    "quantize": f"""extern "C" __global__ void quantize(const float* x, unsigned char* y) {{
  {INDEX}
  const float q = rintf(__fdiv_rn(x[i], 0.5f)) + 10.0f;
  y[i] = (unsigned char)(q < 0.0f ? 0.0f : q > 255.0f ? 255.0f : q);
}}
""",
    "copy": f"""extern "C" __global__ void copy(const unsigned char* x, unsigned char* y) {{
  {INDEX}
  y[i] = x[i];
}}
""",
    "add": f"""extern "C" __global__ void add(
    const unsigned char* a, const unsigned char* b, unsigned char* y) {{
  {INDEX}
  y[i] = (unsigned char)(a[i] + b[i]);
}}
""",
    "pack": f"""extern "C" __global__ void pack(const unsigned char* x, unsigned char* y) {{
  {INDEX}
  y[i] = (unsigned char)((x[2 * i] & 15) | x[2 * i + 1] << 4);
}}
""",
    "dequantize": f"""extern "C" __global__ void dequantize(const unsigned char* x, float* y) {{
  {INDEX}
  y[i] = __fmul_rn(0.5f, (float)((int)x[i] - 10));
}}
""",
    "stray": f"""extern "C" __global__ void stray(unsigned char* y) {{
  {INDEX}
  y[i + 256] = 1;
}}
""",
}


def compiled(folder: Path) -> Mapping[str, Kernel]:
    try:
        compiler = installed()
    except ToolchainError as error:
        pytest.skip(str(error))
    return compile_kernels(
        SOURCES, T4, headers={}, cache=folder, threads=1, compiler=compiler
    )  # fmt: skip


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Kernel]:
    return compiled(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="module")
def emulator(emulator_cache: Path) -> Path:
    """All kernels as one text, which is compiled in a fraction of the time."""
    names = "".join(f"QC_KERNEL({name})\n" for name in SOURCES)
    text = "\n".join(SOURCES.values()) + names
    return emulator_library({"small": text}, cache=emulator_cache, threads=1)


@pytest.fixture
def driver(emulator: Path) -> Iterator[Path]:
    """The emulator as a T4, again after each test."""
    settings = ctypes.CDLL(str(emulator))
    settings.qcemu_set_capability(7, 5)
    yield emulator
    settings.qcemu_set_capability(7, 5)


def artifact(folder: Path, kernels: Mapping[str, Kernel], launches=LAUNCHES) -> Path:
    """The small model with these kernels."""
    names = dict.fromkeys(launch.kernel for launch in launches)
    images = {
        "sm_75": contain("sm_75", {n: kernels[n].cubin for n in names}, min_driver=12000),
        "ptx_75": contain("ptx_75", {n: kernels[n].ptx for n in names}, min_driver=12040),
    }
    plan = replace(PLAN_SMALL, images=tuple(i for i, _ in images.values()), launches=launches)
    written(folder, plan)
    for image, content in images.values():
        (folder / image.file).write_bytes(content)
    return folder


@pytest.mark.parametrize("graphs", [True, False], ids=["graph", "steps"])
@pytest.mark.parametrize(("capability", "image"), [((7, 5), "sm_75"), ((9, 0), "ptx_75")])
def test_it_computes_from_machine_code_and_from_ptx(
    capability, image: str, graphs: bool, kernels, driver: Path, built: Place, tmp_path: Path
):
    ctypes.CDLL(str(driver)).qcemu_set_capability(*capability)
    x, y = drawn()
    folder = artifact(tmp_path, kernels)
    with CudaLibrary(built.library, folder, driver=driver, graphs=graphs) as library:
        assert (library.image, library.emulated) == (image, True)
        np.testing.assert_array_equal(library.run([x, y])[0], real_result(x, y))
        raw = library.run([quantized(x), y], raw_inputs=True, raw_outputs=True)[0]
        np.testing.assert_array_equal(raw, raw_result(x, y))


def test_it_is_traced(kernels, driver: Path, built: Place, tmp_path: Path):
    x, y = drawn()
    with CudaLibrary(built.library, artifact(tmp_path, kernels), driver=driver) as library:
        values = dict(library.trace([x, y]))
    np.testing.assert_array_equal(values["weighted"], weighted(x))
    np.testing.assert_array_equal(values["packed"], low_halves(weighted(x)))


def test_steps_are_timed_one_by_one(kernels, driver: Path, built: Place, tmp_path: Path):
    x, y = drawn()
    with CudaLibrary(built.library, artifact(tmp_path, kernels), driver=driver) as library:
        times = library.times([x, y])
        assert [(node, kernel) for node, kernel, _ in times] == list(library.steps)
    real = [
        t for launch, (*_, t) in zip(LAUNCHES, times, strict=True) if "RAW" not in launch.phase.name
    ]
    assert all(taken > 0 for taken in real)
    assert sum(taken for *_, taken in times) == sum(real)


STRAY = Launch("stray", 1, 1, 0, (Arena(0),), Phase.BODY, "faulty")


def test_a_kernel_that_writes_outside_is_told(kernels, driver: Path, built: Place, tmp_path: Path):
    folder = artifact(tmp_path, kernels, (*LAUNCHES[:3], STRAY, *LAUNCHES[3:]))
    with CudaLibrary(built.library, folder, driver=driver) as library:
        with pytest.raises(ArtifactError, match=r"a kernel failed: kernel stray, .*qc_trace names"):
            library.run(drawn())
        with pytest.raises(ArtifactError, match="CUDA error 700"):
            library.run(drawn())


def test_a_trace_names_the_node_that_writes_outside(
    kernels, driver: Path, built: Place, tmp_path: Path
):
    folder = artifact(tmp_path, kernels, (*LAUNCHES[:3], STRAY, *LAUNCHES[3:]))
    library = CudaLibrary(built.library, folder, driver=driver)
    with library, pytest.raises(ArtifactError, match=r"faulty \(kernel stray"):
        library.trace(drawn())


def test_a_later_model_starts_afresh(kernels, driver: Path, built: Place, tmp_path: Path):
    x, y = drawn()
    broken = artifact(tmp_path / "broken", kernels, (*LAUNCHES[:3], STRAY, *LAUNCHES[3:]))
    library = CudaLibrary(built.library, broken, driver=driver)
    with library, pytest.raises(ArtifactError):
        library.run(drawn())
    with CudaLibrary(built.library, artifact(tmp_path, kernels), driver=driver) as library:
        np.testing.assert_array_equal(library.run([x, y])[0], real_result(x, y))


def test_an_older_device_is_refused(kernels, driver: Path, built: Place, tmp_path: Path):
    ctypes.CDLL(str(driver)).qcemu_set_capability(7, 0)
    with pytest.raises(ArtifactError, match=r"capability 7\.0, the kernels are for sm_75, ptx_75"):
        CudaLibrary(built.library, artifact(tmp_path, kernels), driver=driver)
