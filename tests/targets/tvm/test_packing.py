"""Packed weights: every product finds its place."""

import numpy as np
import pytest

from qcompile.targets.tvm.isa import ISAS, Isa
from qcompile.targets.tvm.packing import by_block, pack, whole_rows


@pytest.mark.parametrize("isa", ISAS.values(), ids=lambda isa: isa.name)
def test_pack_puts_groups_of_k_beside_each_other(isa: Isa):
    weights = np.random.default_rng(0).integers(-128, 128, (19, 3, 10))
    packed = pack(weights, isa)
    lanes, group = isa.lanes, isa.dot.group
    assert packed.shape == (-(-19 // lanes), 3, -(-10 // group), lanes, group)
    for o, t, k in [(0, 0, 0), (18, 2, 9), (7, 1, 4)]:
        assert packed[o // lanes, t, k // group, o % lanes, k % group] == weights[o, t, k]
    assert np.abs(packed.astype(int)).sum() == np.abs(weights).sum()


@pytest.mark.parametrize(("outputs", "groups", "depth"), [(32, 8, 4), (48, 2, 24), (30, 3, 2)])
def test_grouped_weights_over_a_window_of_channels(outputs: int, groups: int, depth: int):
    rng = np.random.default_rng(1)
    weights = rng.integers(-9, 9, (outputs, 2, depth))
    x = rng.integers(-9, 9, (2, groups * depth))
    spread, first = by_block(weights, groups, 16)
    padded = np.pad(x, ((0, 0), (0, spread.shape[2])))
    each = outputs // groups
    for o in range(outputs):
        start = first[o // 16]
        found = (padded[:, start : start + spread.shape[2]] * spread[o]).sum()
        own = o // each * depth
        assert found == (x[:, own : own + depth] * weights[o]).sum()


def test_whole_rows_pad_channels():
    rows = whole_rows(np.ones((5, 3, 7, 3)), 4)
    assert rows.shape == (5, 3, 28)
    assert rows.reshape(5, 3, 7, 4)[..., 3].sum() == 0
