"""What is assumed of each chip has a reason and a sane size."""

import pytest

from qcompile.targets.cuda.devices import CHIPS
from qcompile.targets.cuda.factors import factors

ALL_CHIPS = pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)


@ALL_CHIPS
def test_every_factor_has_a_reason(chip):
    believed = factors(chip)
    names = {name for name in believed.__slots__ if name != "reasons"}
    assert set(believed.reasons) == names


@ALL_CHIPS
def test_every_share_is_one(chip):
    believed = factors(chip)
    shares = [getattr(believed, n) for n in ("clock", "tensor", "l2", "dram", "issue", "plain")]
    assert all(0 < share <= 1 for share in shares)
