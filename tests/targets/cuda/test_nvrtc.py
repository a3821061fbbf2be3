"""The compiler's process: what it gives, and what becomes of one that crashes, hangs or lies."""

from dataclasses import replace
from pathlib import Path

import pytest

from qcompile.errors import ToolchainError
from qcompile.targets.cuda import nvrtc
from qcompile.targets.cuda.nvrtc import Job, Worker, installed
from tests.targets.cuda.snippets import kernel
from tests.targets.cuda.stand_in import stand_in

OPTIONS = ("--std=c++17", "--gpu-architecture=sm_75")


def job(name, source):
    return Job(name, source, {}, OPTIONS)


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    return stand_in(tmp_path_factory.mktemp("stand_in"))


@pytest.fixture
def worker(fake):
    with Worker(fake, seconds=20) as one:
        yield one


def test_the_package_is_found_with_its_version():
    found = installed()
    assert found.library.is_file()
    assert found.builtins.is_file()
    assert found.version.startswith("12.")


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(nvrtc, "PACKAGE", "nvidia-no-such-package")
    with pytest.raises(ToolchainError, match=r"pip install nvidia-cuda-nvrtc-cu12==12\.4\.127"):
        installed()


def test_the_compiler_gives_machine_code_and_ptx():
    with Worker(installed()) as worker:
        compiled = worker.compile(job("one", kernel("one", "*p = 1;")))
    assert compiled.cubin.startswith(b"\x7fELF")
    assert b".visible .entry one(" in compiled.ptx
    assert not compiled.ptx.endswith(b"\0")


def test_an_error_in_the_source_is_shown_with_its_line():
    with (
        Worker(installed()) as worker,
        pytest.raises(ToolchainError, match=r'(?s)kernel one: .*one.cu\(2\): error: .* "q"'),
    ):
        worker.compile(job("one", 'extern "C" __global__ void one(int* p) {\n  *q = 1;\n}'))


def test_a_crash_names_the_kernel_the_signal_and_the_output(worker):
    with pytest.raises(
        ToolchainError,
        match=r"kernel bad: NVRTC stand-in crashed with SIGABRT; it said:\nptxas: internal error",
    ):
        worker.compile(job("bad", "CRASH"))


def test_a_compiler_that_leaves_names_its_exit_code(worker):
    with pytest.raises(
        ToolchainError, match=r"kernel bad: .* ended with exit code 3 and said noth"
    ):
        worker.compile(job("bad", "LEAVE"))


def test_a_hang_ends_at_the_time_limit(fake):
    with (
        Worker(fake, seconds=0.5) as worker,
        pytest.raises(ToolchainError, match=r"kernel slow: .* gave no answer in 0\.5 s"),
    ):
        worker.compile(job("slow", "HANG"))


def test_after_a_crash_the_next_kernel_compiles(worker):
    with pytest.raises(ToolchainError):
        worker.compile(job("bad", "CRASH"))
    assert worker.compile(job("good", "good")).cubin == b"good"


def test_a_refusal_leaves_the_process_alive(worker):
    with pytest.raises(ToolchainError, match="kernel bad: NVRTC refuses the source"):
        worker.compile(job("bad", "REFUSE"))
    assert worker.compile(job("good", "good")).cubin == b"good"


def test_what_the_compiler_prints_is_no_answer(worker):
    assert worker.compile(job("good", "TALK")).cubin == b"TALK"


def test_a_library_that_does_not_load_is_named(fake):
    with (
        Worker(replace(fake, library=Path("/no/such/libnvrtc.so"))) as worker,
        pytest.raises(ToolchainError, match=r"(?s)NVRTC stand-in at /no/such/.*cannot open shared"),
    ):
        worker.compile(job("good", "good"))
