"""Blobs: named by content, loaded when asked, never changed."""

from pathlib import Path

import numpy as np
import pytest

from qcompile.ir.blob import Blob, blob, mapped_blob

FLOAT = np.dtype(np.float32)


def test_equal_contents_are_equal_blobs():
    a, b = blob(np.arange(6.0)), blob(np.arange(6.0))
    assert a == b
    assert hash(a) == hash(b)


def test_dtype_and_shape_are_part_of_the_digest():
    ones = np.ones(4, np.int8)
    assert (
        len({blob(ones).digest, blob(ones.reshape(2, 2)).digest, blob(ones.view("u1")).digest}) == 3
    )


def test_does_not_follow_later_changes_of_its_array():
    array = np.zeros(3)
    held = blob(array)
    array[0] = 1
    assert held.array()[0] == 0


def test_gives_read_only_arrays():
    with pytest.raises(ValueError, match="read-only"):
        blob(np.zeros(3)).array()[0] = 1


def test_holds_scalars_and_views():
    assert blob(np.array(1.5)).array().shape == ()
    assert blob(np.arange(6).reshape(2, 3).T).array().tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_promise_that_is_broken_is_our_mistake():
    with pytest.raises(AssertionError, match="promised"):
        Blob((2,), FLOAT, lambda: np.zeros((3,), np.float32)).array()


def test_reads_a_slice_of_a_file(tmp_path: Path):
    path = tmp_path / "weights"
    np.arange(8, dtype=np.float32).tofile(path)
    part = mapped_blob(path, offset=8, shape=(2, 2), dtype=FLOAT)
    assert part.nbytes == 16
    assert part == blob(np.array([[2, 3], [4, 5]], np.float32))


def test_an_empty_slice_needs_no_file():
    assert mapped_blob(Path("nowhere"), offset=0, shape=(0, 3), dtype=FLOAT).array().size == 0
