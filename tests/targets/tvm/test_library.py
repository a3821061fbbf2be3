"""The library: its interface, its errors, threads, traces; and that builds repeat."""

import ctypes
import hashlib
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from qcompile.errors import ArtifactError, ToolchainError
from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.source import Input
from qcompile.ir.types import U8, f32
from qcompile.ir.unit import per_tensor
from qcompile.targets.tvm import build as builder
from qcompile.targets.tvm.build import build
from qcompile.targets.tvm.library import Library
from tests.targets.tvm.checks import (
    BEST,
    compiled_here,
    drawn,
    graph_of,
    narrowed,
    opened,
    weights,
)  # fmt: skip


@pytest.fixture(scope="module")
def graph() -> Graph:
    x = Quantize(Input(f32(1, 3, 20, 20), name="picture"), U8, per_tensor(0.03, 120), name="q")
    first = narrowed(Conv(x, weights(24, 3, 3, 3), pads=(1, 1, 1, 1), stride=(2, 2), name="a"))
    second = narrowed(Conv(first, weights(40, 24, 3, 3), pads=(1, 1, 1, 1), name="b"))
    return graph_of(Dequantize(second, name="real"))


@pytest.fixture(scope="module")
def folder(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("library")
    build(graph, BEST, path, compiler=compiled_here)
    return path


def open_at(folder: Path, threads: int = 1) -> Library:
    return Library(folder / "model.so", folder, threads=threads)


def test_it_says_what_it_takes_and_gives(folder: Path):
    with open_at(folder) as library:
        (real,), (raw,) = library.inputs(raw=False), library.inputs(raw=True)
        assert (real.name, real.dtype, real.shape) == ("picture", np.float32, (1, 3, 20, 20))
        assert (raw.dtype, library.outputs(raw=True)[0].dtype) == (np.uint8, np.uint8)
        assert library.outputs(raw=False)[0].shape == (1, 40, 10, 10)


def test_raw_and_real_forms_agree(graph: Graph, folder: Path):
    (x,) = drawn(graph)
    quantized = graph.named("q").evaluate(x)
    with open_at(folder) as library:
        wanted = library.run([x], raw_outputs=True)[0]
        found = library.run([quantized], raw_inputs=True, raw_outputs=True)[0]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_any_number_of_threads_gives_the_same(threads: int, graph: Graph, folder: Path):
    inputs = drawn(graph)
    with open_at(folder, threads) as library:
        results = [library.run(inputs)[0] for _ in range(50)]
    for result in results:
        np.testing.assert_array_equal(result, graph.run(*inputs)[0])


def test_tracing_between_runs_leaves_no_thread_behind(graph: Graph, folder: Path):
    inputs = drawn(graph)
    with open_at(folder, 2) as library:
        for _ in range(200):
            library.run(inputs)
            library.trace(inputs)
            library.run(inputs, raw_outputs=True)


def test_the_trace_shows_what_the_interpreter_computes(graph: Graph, folder: Path):
    inputs = drawn(graph)
    kept = [n for n in graph.nodes if n.type.is_quantized]
    wanted = [v for _, v in graph.values(inputs, keep=kept)]
    with open_at(folder) as library:
        traced = library.trace(inputs)
    assert len(traced) == 3
    for _, value in traced:
        assert any(value.shape == w.shape and np.array_equal(value, w) for w in wanted)


def test_later_steps_read_what_a_value_was_changed_to(graph: Graph, folder: Path):
    (x,) = drawn(graph)
    other = x[..., ::-1]
    wanted = graph.run(other)[0]
    given = graph.named("q").evaluate(other)
    with open_at(folder) as library:
        (found,) = library.changed([x], lambda name, value: given if name == "q" else value)
        (after,) = library.run([x])
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(after, graph.run(x)[0])


@pytest.mark.parametrize("threads", [1, 3])
def test_values_that_are_given_back_change_nothing(threads: int, graph: Graph, folder: Path):
    inputs = drawn(graph)
    with open_at(folder, threads) as library:
        (found,) = library.changed(inputs, lambda _, value: value)
    np.testing.assert_array_equal(found, graph.run(*inputs)[0])


def test_an_error_between_steps_comes_out_of_the_run(graph: Graph, folder: Path):
    def fail(name: str, value: np.ndarray) -> np.ndarray:
        raise KeyError(name)

    with open_at(folder) as library, pytest.raises(KeyError, match="q"):
        library.changed(drawn(graph), fail)


def test_a_value_of_another_shape_is_refused(graph: Graph, folder: Path):
    with open_at(folder) as library, pytest.raises(ArtifactError, match="the model takes"):
        library.changed(drawn(graph), lambda _, value: value[..., :1])


def test_timing_names_kernels(graph: Graph, folder: Path):
    with open_at(folder) as library:
        rows = library.times(drawn(graph))
    assert any(kernel.startswith("dot_") and spent > 0 for _, kernel, spent in rows)


@pytest.mark.parametrize("damage", ["missing", "short", "changed", "longer"])
def test_bad_weights_are_refused_in_words(damage: str, folder: Path, tmp_path: Path):
    data = bytearray((folder / "weights.bin").read_bytes())
    changed = {"short": data[:-1], "longer": data + b"x"}.get(damage, data)
    if damage == "changed":
        changed[len(changed) // 2] ^= 1
    if damage != "missing":
        (tmp_path / "weights.bin").write_bytes(changed)
    with pytest.raises(ArtifactError, match=r"weights\.bin"):
        Library(folder / "model.so", tmp_path)


def test_a_wrong_input_is_refused_in_words(folder: Path):
    with open_at(folder) as library, pytest.raises(ArtifactError, match="picture is float64"):
        library.run([np.zeros((1, 3, 20, 20))])


def test_null_pointers_are_errors(folder: Path):
    lib = ctypes.CDLL(str(folder / "model.so"))
    lib.qc_error.restype = ctypes.c_char_p
    assert lib.qc_open(None, None) == 1
    assert b"null" in lib.qc_error()
    assert lib.qc_run(None, None, None) == 1
    assert lib.qc_input(5, 0, ctypes.byref(ctypes.create_string_buffer(256))) == 1


def test_too_many_threads_are_an_error(folder: Path):
    with pytest.raises(ArtifactError, match="1000 threads"):
        open_at(folder, 1000)


def test_only_the_interface_is_visible(folder: Path):
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", "model.so"], cwd=folder, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    names = [line.split()[-1] for line in listed.splitlines()]
    assert names
    assert all(name.startswith("qc_") for name in names)


def test_it_needs_libc_only(folder: Path):
    listed = subprocess.run(
        ["readelf", "-d", "model.so"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    needed = [line for line in listed.splitlines() if "NEEDED" in line]
    assert all(any(k in line for k in ("libc.", "libm.", "ld-linux")) for line in needed)


def test_the_example_program_runs(folder: Path, tmp_path: Path):
    program = tmp_path / "main"
    subprocess.run(
        ["cc", "-O1", "-Wall", "-Werror", "main.c", "-ldl", "-o", str(program)], cwd=folder,
        check=True,
    )  # fmt: skip
    done = subprocess.run(
        [program, "./model.so", "."], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("y0:")


def test_child_processes_give_the_same_bytes_whatever_their_number(graph: Graph, tmp_path: Path):
    digests = set[str]()
    for threads in (1, 2):
        written = build(graph, BEST, tmp_path / str(threads), threads=threads)
        parts = [(tmp_path / str(threads) / f).read_bytes() for f in written.files]
        digests.add(hashlib.sha256(b"".join(parts)).hexdigest())
    assert len(digests) == 1


def test_a_crash_of_the_compiler_is_an_error(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    crash = ["sh", "-c", "echo gone wrong >&2; kill -SEGV $$"]
    monkeypatch.setattr(builder, "WORKER", crash)
    with pytest.raises(ToolchainError, match=r"status -11[^\n]*\n.*gone wrong"):
        build(graph, BEST, tmp_path)


def test_no_compiler_is_an_error(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match="install cc"):
        opened(graph, tmp_path / "out", BEST)
