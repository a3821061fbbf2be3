"""Sample sources: each kind gives the same samples, each mistake is said with its remedy."""

# ruff: noqa: E501  one fault a line
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime.quantization import CalibrationDataReader

from qcompile.calibrate.samples import open_samples
from qcompile.errors import CalibrationError
from qcompile.ir.types import Array
from tests.helpers import read

ONE = read("def f(x: f32[1, 2]):\n    y = relu(x)\n    return y")
TWO = read("def f(x: f32[1, 2], k: i64[3]):\n    y = relu(x)\n    return y, k")
X = np.arange(8, dtype=np.float32).reshape(4, 2)
K = np.arange(12).reshape(4, 3)


class OrtReader(CalibrationDataReader):
    def __init__(self, rows: list[dict[str, Array]]) -> None:
        self.rows = iter(rows)

    def get_next(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return next(self.rows, None)


def rows() -> list[dict[str, Array]]:
    return [{"x": x[None]} for x in X]


def torch_loader() -> object:
    from torch import from_numpy
    from torch.utils.data import DataLoader, TensorDataset

    labels = from_numpy(np.zeros(4))
    return DataLoader(TensorDataset(from_numpy(X), labels), batch_size=2)


def generator() -> Iterator[dict[str, Array]]:
    yield from rows()


def npz(folder: Path) -> str:
    np.savez(folder / "s.npz", x=X, label=np.zeros(4))
    return str(folder / "s.npz")


def npy(folder: Path) -> Path:
    np.save(folder / "s.npy", X)
    return folder / "s.npy"


def folder_of_npz(folder: Path) -> Path:
    np.savez(folder / "a.npz", x=X[:1])
    np.savez(folder / "b.npz", x=X[1:])
    return folder


def folder_of_npy(folder: Path) -> Path:
    written = [np.save(folder / f"{i}.npy", x[None]) for i, x in enumerate(X)]
    assert len(written) == 4
    return folder


SOURCES: dict[str, Callable[[Path], object]] = {
    "an npz file": npz,
    "an npy file": npy,
    "a folder of npz files": folder_of_npz,
    "a folder of npy files": folder_of_npy,
    "a mapping of arrays": lambda _: {"x": X},
    "a list of dicts": lambda _: rows(),
    "a list of bare arrays": lambda _: [x[None] for x in X],
    "batches of dicts": lambda _: [{"x": X[:3]}, {"x": X[3:]}],
    "pairs of array and label": lambda _: [(x[None], 7) for x in X],
    "a generator": lambda _: generator(),
    "a callable that gives a generator": lambda _: generator,
    "a callable by its name": lambda _: f"{__name__}:generator",
    "onnxruntime's reader": lambda _: OrtReader(rows()),
    "a callable that gives a reader": lambda _: lambda: OrtReader(rows()),
    "a torch loader": lambda _: torch_loader(),
    "other float formats": lambda _: {"x": X.astype(np.float64)},
    "nested lists": lambda _: [{"x": x[None].tolist()} for x in X.astype(float)],
}


@pytest.mark.parametrize("kind", SOURCES)
def test_draws_the_same_samples_as_often_as_asked(kind: str, tmp_path: Path):
    samples = open_samples(SOURCES[kind](tmp_path), ONE)
    twice = [np.stack([x for (x,) in samples]) for _ in range(2)]
    np.testing.assert_array_equal(twice[0], X[:, None])
    np.testing.assert_array_equal(twice[1], X[:, None])
    assert twice[0].dtype == np.float32


def test_several_inputs_come_in_the_graphs_order():
    samples = list(open_samples({"k": K, "x": X}, TWO))
    np.testing.assert_array_equal(samples[2][0], X[2:3])
    np.testing.assert_array_equal(samples[2][1], K[2])


def test_integers_that_fit_are_narrowed_or_widened():
    (sample, *_) = open_samples([{"x": X[:1], "k": K[0].astype(np.int16)}], TWO)
    assert sample[1].dtype == np.int64


def samples_of(source: object, graph: Any = ONE) -> list[tuple[Array, ...]]:
    return list(open_samples(source, graph))


def broken_module() -> Iterator[Array]:
    yield X[:1]
    raise KeyError("cat.jpg")


def nothing() -> list[Array]:
    return []


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a number": (lambda _: 3, "cannot draw samples from a int: give a path, a callable"),
    "a missing file": (lambda p: p / "s.npz", r"no sample file at .*s\.npz"),
    "no path and no callable": (lambda _: "samples", r"no calibration data at samples: give x\.npz, a folder, or"),
    "an empty folder": (lambda p: p, r"no \.npz or \.npy files in calibration folder"),
    "an unknown module": (lambda _: "no_such.module:f", "cannot import calibration source no_such.module:f: No module"),
    "an unknown function": (lambda _: "json:samples", "cannot import calibration source json:samples: .*samples"),
    "a file that is none": (lambda p: text_file(p / "s.npz"), r"s\.npz is not an \.npz file"),
    "an npy that is none": (lambda p: text_file(p / "s.npy"), r"s\.npy is not a plain \.npy array"),
    "another name": (lambda _: {"input": X}, "arrays holds input, but no array for input 'x'"),
    "another shape": (lambda _: {"x": X.T}, r"input 'x' wants samples stacked as \(N, 2\), got \(2, 4\)"),
    "a sample of another shape": (lambda _: [{"x": np.zeros((1, 3), "f4")}], r"iterable, sample 0: input 'x' wants samples stacked as \(N, 2\), got \(1, 3\)"),
    "a scalar": (lambda _: {"x": np.float32(3)}, r"wants samples stacked as \(N, 2\), got \(\)"),
    "integers for reals": (lambda _: {"x": K[:, :2]}, "input 'x' wants float32, got int64: convert the samples as"),
    "strings": (lambda _: {"x": np.full((4, 2), "a")}, "input 'x' wants float32, got <U1"),
    "NaN": (lambda _: {"x": X * np.nan}, "arrays, sample 0: input 'x' holds NaN or infinity"),
    "infinity in the second": (lambda _: [X[:1], X[:1] + np.inf], "iterable, sample 1: input 'x' holds NaN or infinity"),
    "an empty array": (lambda _: {"x": X[:0]}, "arrays holds no samples: give at least one"),
    "an empty list": (lambda _: [], "iterable gave no samples: give at least one"),
    "an empty generator": (lambda _: iter(()), "iterator gave no samples"),
    "a callable that gives nothing": (lambda _: nothing, "callable gave no samples"),
    "a reader at its end": (lambda _: OrtReader([]), "reader gave no samples"),
    "a callable that fails": (lambda _: broken_module, "callable: drawing samples fails: KeyError: 'cat.jpg'"),
    "a callable that gives no iterable": (lambda _: lambda: 3, "callable: drawing samples fails: TypeError"),
    "ragged lists": (lambda _: [{"x": [[1.0, 2.0], [3.0]]}], "a sample is no array"),
}  # fmt: skip


def text_file(path: Path) -> Path:
    path.write_text("no numbers here")
    return path


@pytest.mark.parametrize("fault", FAULTS)
def test_says_what_is_wrong(fault: str, tmp_path: Path):
    source, message = FAULTS[fault]
    with pytest.raises(CalibrationError, match=message):
        samples_of(source(tmp_path))


def test_inputs_that_differ_in_number_of_samples():
    with pytest.raises(CalibrationError, match="inputs differ in number of samples: x 4, k 3"):
        samples_of({"x": X, "k": K[:3]}, TWO)


def test_an_npy_has_no_names():
    with pytest.raises(CalibrationError, match="give a dict with arrays for x, k"):
        samples_of([X[:1]], TWO)


def test_an_npy_file_for_two_inputs(tmp_path: Path):
    np.save(tmp_path / "s.npy", X)
    with pytest.raises(CalibrationError, match=r"an \.npy has no names for the inputs x, k"):
        samples_of(tmp_path / "s.npy", TWO)


def test_integers_that_do_not_fit():
    narrow = read("def f(k: i8[3]):\n    y = neg(k)\n    return y")
    with pytest.raises(CalibrationError, match="input 'k' wants int8, got int64"):
        samples_of({"k": K * 100}, narrow)


def test_pickles_are_not_opened(tmp_path: Path):
    np.savez(tmp_path / "s.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(CalibrationError, match=r"is not an \.npz file"):
        samples_of(tmp_path / "s.npz")
