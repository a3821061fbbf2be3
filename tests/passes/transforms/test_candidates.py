"""Which matrices a site is offered: orders that exist, whole and in blocks, and draws of signs."""

from collections.abc import Sequence

import numpy as np
import pytest

from qcompile.passes.transforms.candidates import POLICIES, Candidate, Wanted


def offered(policy: str, size: int, *, draws: int = 1, groups: tuple[int, ...] = ()) -> list[str]:
    return [one.words for one in candidates(policy, size, draws=draws, groups=groups)]


def candidates(
    policy: str, size: int, *, seed: int = 1, draws: int = 1, groups: tuple[int, ...] = ()
) -> Sequence[Candidate]:
    wanted = Wanted(size, 1, np.eye(size)[None], seed, groups=groups, draws=draws)
    return list(POLICIES[policy](wanted))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (64, ["hadamard"]),
        (96, ["hadamard"]),
        (172, ["hadamard"]),
        (107 * 8, ["hadamard of blocks of 8"]),
        (90, ["hadamard of blocks of 2"]),
        (150 * 16, ["hadamard"]),
        (167 * 8, ["hadamard of blocks of 8"]),
        (35, []),
    ],
)
def test_the_whole_where_a_matrix_exists_and_blocks_where_none_does(size: int, words: list[str]):
    assert offered("hadamard", size) == words


def test_blocks_divide_the_channels():
    assert offered("block", 96) == ["hadamard of blocks of 16", "hadamard of blocks of 32"]


@pytest.mark.parametrize(
    ("group", "orders"), [(32, [16, 32, 64]), (24, [16, 24, 32, 64]), (6, [16, 32, 64])]
)
def test_a_group_of_weights_is_a_block_where_a_matrix_of_its_order_exists(
    group: int, orders: list[int]
):
    found = candidates("block", 192, groups=(group,))
    assert [one.order for one in found] == orders


def test_each_draw_of_signs_is_a_candidate():
    assert offered("hadamard", 8, draws=3) == [
        "hadamard", "hadamard, draw 2", "hadamard, draw 3",
    ]  # fmt: skip


def test_without_signs_there_is_one_draw():
    assert len(candidates("hadamard", 8, seed=0, draws=3)) == 1


def test_klt_tells_the_order_where_it_needs_no_givens_rotations():
    assert [candidates("klt-hadamard", n)[0].order for n in (12, 22)] == [12, 0]
