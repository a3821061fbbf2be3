"""Any order that moves axes, splits them, pads and leaves out: one table for each axis says it."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qcompile.program.places import places_of, summed


def blocks(w):
    """[outputs, k] in blocks of 4 outputs, 2 neighbours together."""
    room = ((0, -w.shape[0] % 4), (0, -w.shape[1] % 2))
    padded = np.pad(w, room)
    return padded.reshape(-1, 4, padded.shape[1] // 2, 2).transpose(0, 2, 1, 3)


Arrange = Callable[[NDArray[Any]], NDArray[Any]]
ARRANGED: list[tuple[tuple[int, ...], Arrange]] = [
    ((5, 7), blocks),
    ((3, 4, 2), lambda w: np.pad(w, ((1, 0), (0, 2), (0, 0))).transpose(2, 0, 1)),
    ((4, 3, 3), lambda w: w[:, ::-1, ::-1]),
    ((6, 5), lambda w: w[::2]),
    ((2, 3, 4), lambda w: np.take(w, (2, 0), axis=1)),
    ((7,), lambda w: np.pad(w, 3)),
]


def moved(array: NDArray[Any], arrange: Arrange) -> NDArray[Any]:
    """The array put in order by the tables alone."""
    tables = places_of(array.shape, arrange)
    assert tables is not None
    target = np.zeros(arrange(array).size, array.dtype)
    where = summed(tables).reshape(-1)
    target[where[where >= 0]] = array.reshape(-1)[where >= 0]
    return target


@pytest.mark.parametrize(("shape", "arrange"), ARRANGED)
def test_the_tables_put_every_element_where_the_function_puts_it(shape, arrange):
    array = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_array_equal(moved(array, arrange), arrange(array).reshape(-1))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_any_transposition_with_padding_is_said_by_tables(shape, draw):
    order = draw.sample(range(len(shape)), len(shape))
    room = [(draw.randint(0, 2), draw.randint(0, 2)) for _ in shape]
    array = np.arange(1, prod(shape) + 1).reshape(shape)

    def arrange(w: NDArray[Any]) -> NDArray[Any]:
        return np.pad(w.transpose(order), room)

    np.testing.assert_array_equal(moved(array, arrange), arrange(array).reshape(-1))


def rolled(w: NDArray[Any]) -> NDArray[Any]:
    """Each row of what is behind the first axis, turned by one element."""
    return np.roll(w.reshape(w.shape[0], -1), 1, axis=1)


def test_axes_that_depend_on_each_other_count_as_one():
    tables = places_of((3, 3, 2), rolled)
    assert [t.size for t in tables or ()] == [3, 6]


NOWHERE: dict[str, Arrange] = {
    "twice": lambda w: np.concatenate([w, w]),
    "nowhere": np.zeros_like,
    "the diagonal": lambda w: w * np.eye(3, dtype=w.dtype),
}


@pytest.mark.parametrize("case", NOWHERE)
def test_what_no_tables_can_say_has_none(case: str):
    assert places_of((3, 3), NOWHERE[case]) is None
