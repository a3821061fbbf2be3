"""Constants that other files hold: found there, whatever the order and packing; never trusted."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcompile.errors import ArtifactError
from qcompile.ir.blob import blob
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Scalar
from qcompile.ir.unit import per_tensor
from qcompile.numerics.packing import pack
from qcompile.program.graph_file import read_graph, write_graph
from qcompile.program.kept import Kept, Plane, holds
from qcompile.program.places import places_of
from tests.helpers import integers
from tests.program.test_graph_file import product, size, weight

FILE = "other.bin"


def w4(rows: int = 24, columns: int = 10) -> Const:
    return integers(rows, columns, elem=Scalar("i4"), unit=per_tensor(0.5))


def codes(w: Const) -> np.ndarray:  # pyright: ignore[reportMissingTypeArgument]
    return (w.array.astype(np.int16) - w.elem.lo).astype(np.uint8)


def kept_row_major(folder: Path, w: Const, bits: int = 4) -> dict[str, Kept]:
    """The constant as codes behind 3 bytes of something else."""
    (folder / FILE).write_bytes(b"abc" + pack(codes(w), bits).tobytes())
    return {w.data.digest: Kept(FILE, (Plane(3, bits),), -w.elem.lo)}


def test_a_kept_constant_is_stored_once_and_read_from_there(tmp_path: Path):
    w = w4()
    graph = product(w)
    write_graph(graph, tmp_path, kept_row_major(tmp_path, w))
    assert size(tmp_path) == 0
    np.testing.assert_array_equal(weight(read_graph(tmp_path)).array, w.array)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 8), st.integers(16, 40), st.integers(1, 9))
def test_any_width_is_read_from_codes(
    tmp_path_factory: pytest.TempPathFactory, bits: int, rows: int, columns: int
):
    folder = tmp_path_factory.mktemp("kept")
    w = integers(rows, columns, elem=Scalar(f"i{bits}"), unit=per_tensor(0.5), seed=rows)
    kept = kept_row_major(folder, w, bits)[w.data.digest]
    found = kept.blob(folder, w.data.shape, w.data.dtype).array()
    np.testing.assert_array_equal(found, w.array)


def test_planes_add_up(tmp_path: Path):
    w = integers(9, 5, elem=Scalar("i7"), unit=per_tensor(0.5))
    parts = [pack(codes(w) & 15, 4), pack(codes(w) >> 4 & 3, 2), pack(codes(w) >> 6, 1)]
    starts = np.cumsum([0, *(p.size for p in parts)])
    (tmp_path / FILE).write_bytes(b"".join(p.tobytes() for p in parts))
    planes = tuple(Plane(int(s), b) for s, b in zip(starts[:-1], (4, 2, 1), strict=True))
    assert holds(Kept(FILE, planes, 64), tmp_path, w.data)


def test_signed_nibbles_are_read_as_they_are(tmp_path: Path):
    w = w4()
    (tmp_path / FILE).write_bytes(pack(w.array, 4).tobytes())
    assert holds(Kept(FILE, (Plane(0, 4),), signed=True), tmp_path, w.data)


@pytest.mark.parametrize("dtype", ["float32", "int32", "int8", "int64"])
def test_another_order_is_undone_by_tables(tmp_path: Path, dtype: str):
    values = np.random.default_rng(1).normal(0, 40, (5, 3, 4)).astype(dtype)

    def arrange(w):
        return np.pad(w, ((0, 3), (0, 0), (0, 1))).transpose(1, 0, 2)

    (tmp_path / FILE).write_bytes(np.ascontiguousarray(arrange(values)).tobytes())
    places = places_of(values.shape, arrange)
    assert places is not None
    kept = Kept(FILE, (Plane(0, 8 * values.itemsize),), places=places)
    assert holds(kept, tmp_path, blob(values))


def test_tables_are_stored_and_read_back(tmp_path: Path):
    w = integers(24, 10, elem=Scalar("i8"), unit=per_tensor(0.5))
    (tmp_path / FILE).write_bytes(w.array.T.tobytes())
    places = places_of((24, 10), lambda x: x.T)
    assert places is not None
    kept = Kept(FILE, (Plane(0, 8),), places=places)
    write_graph(product(w), tmp_path, {w.data.digest: kept})
    np.testing.assert_array_equal(weight(read_graph(tmp_path)).array, w.array)
    index = json.loads((tmp_path / "blobs.json").read_text())
    assert index[w.data.digest]["file"] == FILE


def test_what_is_not_there_is_stored_after_all(tmp_path: Path):
    w = w4()
    wrong = {w.data.digest: Kept(FILE, (Plane(2, 4),), 8)}
    kept_row_major(tmp_path, w)
    write_graph(product(w), tmp_path, wrong)
    assert size(tmp_path) == 120
    np.testing.assert_array_equal(weight(read_graph(tmp_path)).array, w.array)


def test_a_file_that_was_cut_is_named(tmp_path: Path):
    w = w4()
    write_graph(product(w), tmp_path, kept_row_major(tmp_path, w))
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"other.bin is too short: it must hold 123 bytes"):
        read_graph(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": "../other.bin"}, "no file of the artifact"),
        ({"planes": []}, "planes"),
        ({"planes": [[3, 400]]}, "planes"),
        ({"places": ["nothing"]}, "nothing"),
    ],
)
def test_an_entry_that_means_nothing_is_refused(tmp_path: Path, change, words: str):
    w = w4()
    write_graph(product(w), tmp_path, kept_row_major(tmp_path, w))
    path = tmp_path / "blobs.json"
    index = json.loads(path.read_text())
    index[w.data.digest] |= change
    path.write_text(json.dumps(index))
    with pytest.raises(ArtifactError, match=words):
        read_graph(tmp_path)
