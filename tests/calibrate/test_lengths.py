"""Open dimensions take the lengths that stored samples have."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcompile.calibrate.lengths import lengths_in
from qcompile.ir.dims import Symbol
from qcompile.ir.graph import Graph
from qcompile.ir.ops.source import Input
from qcompile.ir.types import F32, TensorType

N, T = Symbol("n"), Symbol("t")
TOKENS = Input(TensorType((N, T, 4), F32), name="tokens")
MASK = Input(TensorType((1, T), F32), name="mask")
FIXED = Input(TensorType((1, 3), F32), name="fixed")
GRAPH = Graph("open", (TOKENS, MASK, FIXED), (("y", TOKENS), ("m", MASK), ("f", FIXED)))
ARRAYS = {"tokens": np.zeros((8, 32, 4)), "mask": np.zeros((8, 32)), "fixed": np.zeros((8, 3))}
EXPECTED = {"tokens": (1, 32, 4), "mask": (1, 32)}


def stored(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "x.npz", **arrays)  # pyright: ignore[reportArgumentType] - arrays by name
    return folder / "x.npz"


def test_the_leading_one_counts_samples(tmp_path: Path):
    assert lengths_in(stored(tmp_path, **ARRAYS), GRAPH) == EXPECTED


def test_a_folder_is_as_its_first_file(tmp_path: Path):
    stored(tmp_path, **ARRAYS)
    assert lengths_in(tmp_path, GRAPH) == EXPECTED


@pytest.mark.parametrize("source", [ARRAYS, [ARRAYS, {}]])
def test_arrays_and_lists_of_samples_say_it_too(source: Any):
    assert lengths_in(source, GRAPH) == EXPECTED


def test_samples_of_the_whole_shape_say_the_batch():
    assert lengths_in({"tokens": np.zeros((8, 2, 32, 4))}, GRAPH) == {"tokens": (2, 32, 4)}


def test_an_npy_is_the_only_inputs(tmp_path: Path):
    np.save(tmp_path / "x.npy", np.zeros((5, 7, 4)))
    only = Graph("open", (TOKENS,), (("y", TOKENS),))
    assert lengths_in(tmp_path / "x.npy", only) == {"tokens": (1, 7, 4)}
    assert lengths_in(tmp_path / "x.npy", GRAPH) == {}


@pytest.mark.parametrize("shape", [(8, 32, 5), (8,), (8, 1, 1, 32, 4)])
def test_samples_of_another_model_say_nothing(shape: tuple[int, ...]):
    assert lengths_in({"tokens": np.zeros(shape)}, GRAPH) == {}


@pytest.mark.parametrize("source", ["package.module:callable", "absent.npz", iter([])])
def test_what_is_not_stored_says_nothing(source: Any):
    assert lengths_in(source, GRAPH) == {}
