"""A graph on disk: the same text and constants back, narrow ones packed without gaps."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcompile.errors import ArtifactError
from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.text import dump
from qcompile.ir.types import Scalar, TensorType
from qcompile.ir.unit import per_tensor
from qcompile.program.graph_file import PIECE, read_graph, write_graph
from tests.helpers import integers

ELEMS = ("i2", "i3", "i4", "i6", "u4", "u2", "i8", "u8")


def product(w: Const) -> Graph:
    """x · w on 8-bit x."""
    x = Input(TensorType((1, w.data.shape[0]), Scalar("u8"), per_tensor(0.1, 3)), name="x")
    return Graph("product", (x,), (("y", MatMul(x, w, name="y")),))


def weight(graph: Graph) -> Const:
    return next(n for n in graph.nodes if isinstance(n, Const))


def size(folder: Path) -> int:
    return (folder / "blobs.bin").stat().st_size


@pytest.mark.parametrize("elem", ELEMS)
def test_what_is_read_is_what_was_written(tmp_path: Path, elem: str):
    graph = product(integers(7, 5, elem=Scalar(elem), unit=per_tensor(0.5)))
    write_graph(graph, tmp_path)
    again = read_graph(tmp_path)
    assert dump(again) == dump(graph)
    np.testing.assert_array_equal(weight(again).array, weight(graph).array)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(ELEMS), st.integers(3, 40), st.integers(6, 40), st.integers(0, 99))
def test_packing_holds_for_every_shape(
    tmp_path_factory: pytest.TempPathFactory, elem: str, rows: int, columns: int, seed: int
):
    folder = tmp_path_factory.mktemp("graph")
    w = integers(rows, columns, elem=Scalar(elem), unit=per_tensor(0.5), seed=seed)
    write_graph(product(w), folder)
    np.testing.assert_array_equal(weight(read_graph(folder)).array, w.array)
    assert size(folder) == (rows * columns * Scalar(elem).bits + 7) // 8


def test_four_bits_are_half_a_byte_the_even_element_low(tmp_path: Path):
    values = np.arange(32, dtype=np.int8).reshape(16, 2) % 16 - 8
    write_graph(product(const(values, elem=Scalar("i4"), unit=per_tensor(0.5))), tmp_path)
    stored = np.frombuffer((tmp_path / "blobs.bin").read_bytes(), np.uint8)
    flat = values.reshape(-1).astype(np.uint8)
    np.testing.assert_array_equal(stored, (flat[::2] & 15) | (flat[1::2] << 4).astype(np.uint8))


def test_a_constant_of_several_pieces_is_whole(tmp_path: Path):
    w = integers(3, PIECE // 2 + 5, elem=Scalar("i3"), unit=per_tensor(0.5))
    write_graph(product(w), tmp_path)
    np.testing.assert_array_equal(weight(read_graph(tmp_path)).array, w.array)


def test_eight_bits_are_stored_as_they_are(tmp_path: Path):
    w = integers(7, 5, elem=Scalar("i8"), unit=per_tensor(0.5))
    write_graph(product(w), tmp_path)
    assert (tmp_path / "blobs.bin").read_bytes() == w.array.tobytes()
    (entry,) = json.loads((tmp_path / "blobs.json").read_text()).values()
    assert entry == {"offset": 0, "shape": [7, 5], "dtype": "int8"}


def test_a_file_that_was_cut_is_named(tmp_path: Path):
    write_graph(product(integers(9, 9, elem=Scalar("i4"), unit=per_tensor(0.5))), tmp_path)
    blobs = tmp_path / "blobs.bin"
    blobs.write_bytes(blobs.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="must hold 41 bytes"):
        read_graph(tmp_path)
