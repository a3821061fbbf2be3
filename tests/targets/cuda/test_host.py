"""The runtime's library: the same bytes each time, nothing visible but the interface."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from qcompile.errors import ToolchainError
from qcompile.targets.compilers import c_compiler
from qcompile.targets.cuda.host import LIBRARY, SOURCES, build_host, compile_runtime
from tests.targets.cuda.small_model import (
    Place,
    compile_c,
    drawn,
    raw_result,
    real_result,
    written,
)  # fmt: skip

HERE = os.uname().machine
OTHER = "aarch64" if HERE == "x86_64" else "x86_64"
CROSS = f"{OTHER}-linux-gnu-gcc"
needs_cross = pytest.mark.skipif(shutil.which(CROSS) is None, reason=f"needs {CROSS}")
needs_qemu = pytest.mark.skipif(shutil.which(f"qemu-{OTHER}") is None, reason="needs qemu-user")
WARNINGS = (
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Werror",
    "-Wno-missing-field-initializers",
)
FAKE = Path(__file__).with_name("fake_driver.c")


def test_it_writes_what_it_says(tmp_path: Path):
    names = build_host(tmp_path)
    assert names == (*SOURCES, LIBRARY)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())


def test_same_bytes_wherever_it_is_built(tmp_path: Path):
    first, second = tmp_path / "a", tmp_path / "a longer name"
    build_host(first)
    build_host(second)
    assert (first / LIBRARY).read_bytes() == (second / LIBRARY).read_bytes()
    assert str(tmp_path).encode() not in (first / LIBRARY).read_bytes()


def test_only_the_interface_is_visible(built: Place):
    command = ["nm", "-D", "--defined-only", str(built.library)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = [line.split()[-1] for line in listed.splitlines()]
    assert len(names) == 25
    assert all(name.startswith("qc_") for name in names)


def test_it_needs_nothing_but_libc(built: Place):
    command = ["readelf", "-d", str(built.library)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    needed = [line.split()[-1] for line in listed.splitlines() if "(NEEDED)" in line]
    assert set(needed) <= {"[libc.so.6]", "[libdl.so.2]"}


@pytest.mark.parametrize("standard", ["c11", "c17"])
def test_the_sources_have_nothing_to_warn_of(standard: str, built: Place, tmp_path: Path):
    compiler = c_compiler(f"{HERE}-linux-gnu")
    sources = [str(built.library.with_name(name)) for name in ("main.c", "qcrt.c")]
    command = [*compiler, f"-std={standard}", *WARNINGS, *sources, "-ldl", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)


def test_the_header_is_good_for_cpp_as_well(built: Place, tmp_path: Path):
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    (tmp_path / "use.cpp").write_text(
        '#include "qcrt.h"\nint main() { return qc_abi() - QC_ABI; }\n'
    )
    folder = str(built.library.parent)
    flags = ["-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{folder}", f"-L{folder}", "-lqcrt"]
    command = ["g++", "use.cpp", *flags, f"-Wl,-rpath,{folder}", "-o", "use"]
    subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "use"], check=True)


def test_a_machine_without_a_compiler_is_left_out(tmp_path: Path):
    assert build_host(tmp_path, foreign=("vax", HERE)) == (*SOURCES, LIBRARY)


@needs_cross
def test_a_library_for_another_machine_is_built_beside(tmp_path: Path):
    assert build_host(tmp_path, foreign=(OTHER,))[-1] == f"libqcrt-{OTHER}.so"
    data = [(tmp_path / name).read_bytes() for name in (LIBRARY, f"libqcrt-{OTHER}.so")]
    assert [d[:4] for d in data] == [b"\x7fELF"] * 2
    assert data[0][18:20] != data[1][18:20]


@needs_cross
def test_a_compiler_for_another_machine_is_noticed(tmp_path: Path):
    with pytest.raises(ToolchainError, match=f"{CROSS} makes libraries for ELF machine"):
        compile_runtime([CROSS], tmp_path / LIBRARY, HERE)


def test_what_the_compiler_says_is_shown(tmp_path: Path):
    with pytest.raises(ToolchainError, match="no-such-flag"):
        compile_runtime(
            [*c_compiler(f"{HERE}-linux-gnu"), "-no-such-flag"], tmp_path / LIBRARY, HERE
        )


# the example program


@pytest.fixture
def program(built: Place, tmp_path: Path) -> Path:
    sources = built.library.with_name("main.c"), built.library.with_name("qcrt.c")
    return compile_c(sources[0], tmp_path / "main", str(sources[1]), "-ldl")


def saved(folder: Path) -> list[str]:
    """Both inputs as files."""
    for name, value in zip("xy", drawn(), strict=True):
        value.tofile(folder / name)
    return [str(folder / "x"), str(folder / "y")]


def started(program: Path, *arguments: str, driver: Path) -> subprocess.CompletedProcess[str]:
    environment = {"QC_DRIVER": str(driver)}
    return subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("flags", [(), ("-s",)], ids=["graph", "steps"])
def test_the_example_program_writes_reals(flags, program: Path, place: Place, tmp_path: Path):
    out = tmp_path / "out.bin"
    arguments = (*flags, "-n", "3", "-o", str(out), str(place.folder), *saved(tmp_path))
    done = started(program, *arguments, driver=place.fake.path)
    assert done.returncode == 0, done.stderr
    assert "small for t4-int8 on Fake 0, kernels sm_75" in done.stdout
    assert "median of 3" in done.stdout
    found = np.fromfile(out, np.float32).reshape(2, 8)
    np.testing.assert_array_equal(found, real_result(*drawn()))


def test_the_example_program_prints_integers(program: Path, place: Place, tmp_path: Path):
    done = started(program, "-r", str(place.folder), *saved(tmp_path), driver=place.fake.path)
    shown = " ".join(map(str, raw_result(*drawn()).reshape(-1).tolist()))
    assert done.stdout.splitlines()[1] == f"z: {shown}"


def test_the_example_program_takes_zeros_for_missing_inputs(program: Path, place: Place):
    done = started(program, "-r", str(place.folder), driver=place.fake.path)
    zeros = np.zeros((2, 8), np.float32)
    shown = " ".join(map(str, raw_result(zeros, zeros.astype(np.uint8)).reshape(-1).tolist()))
    assert done.stdout.splitlines()[1] == f"z: {shown}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "usage"),
        (("-n", "0", "folder"), "usage"),
        (("-x", "folder"), "usage"),
        (("/nowhere",), "/nowhere/plan.bin: No such file"),
    ],
)
def test_the_example_program_refuses_in_words(arguments, said: str, program: Path, place: Place):
    done = started(program, *arguments, driver=place.fake.path)
    assert done.returncode == 2
    assert said in done.stderr


def test_the_example_program_refuses_a_short_input(program: Path, place: Place, tmp_path: Path):
    (tmp_path / "short").write_bytes(bytes(10))
    done = started(program, str(place.folder), str(tmp_path / "short"), driver=place.fake.path)
    assert (done.returncode, "does not hold 64 bytes" in done.stderr) == (2, True)


def test_without_a_driver_the_example_program_says_so(program: Path, place: Place, tmp_path: Path):
    done = started(program, str(place.folder), driver=tmp_path / "none.so")
    assert done.returncode == 2
    assert "the NVIDIA driver cannot be opened" in done.stderr


@needs_cross
@needs_qemu
def test_it_runs_on_the_other_machine(built: Place, tmp_path: Path):
    folder, out = written(tmp_path / "model"), tmp_path / "out.bin"
    source = built.library.parent
    driver, program = tmp_path / "fake.so", tmp_path / "main"
    subprocess.run([CROSS, "-O1", "-fPIC", "-shared", FAKE, "-o", driver, "-lm"], check=True)
    sources = [source / "main.c", source / "qcrt.c"]
    subprocess.run([CROSS, "-O1", *sources, "-o", program, "-ldl"], check=True)
    command = [f"qemu-{OTHER}", "-L", f"/usr/{OTHER}-linux-gnu", str(program), "-o", str(out)]
    environment = {**os.environ, "QC_DRIVER": str(driver)}
    subprocess.run([*command, str(folder), *saved(tmp_path)], env=environment, check=True)
    found = np.fromfile(out, np.float32).reshape(2, 8)
    np.testing.assert_array_equal(found, real_result(*drawn()))
