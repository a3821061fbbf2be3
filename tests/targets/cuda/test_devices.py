"""The chips: published peaks follow from the rates, and who has 4-bit tensor cores."""

import re

import pytest

from qcompile.targets.cuda.devices import A10, A100, CHIPS, H100, KIB, L4, ORIN, T4, int4_emulation

ALL = pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)


@pytest.mark.parametrize(
    ("chip", "int8", "int4"),
    [
        (T4, 130, 260),
        (A10, 250, 500),
        (A100, 624, 1248),
        (ORIN, 85, 170),
        (L4, 242, 485),
        (H100, 1979, 0),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_rates_give_the_peak_of_the_datasheet(chip, int8, int4):
    assert chip.int8_tops == pytest.approx(int8, rel=0.005)
    assert chip.int4_tops == pytest.approx(int4, rel=0.005)


@ALL
def test_a_chip_is_known_by_its_name(chip):
    assert CHIPS[chip.name] is chip
    assert chip.arch == "sm_{}{}".format(*chip.capability)


@ALL
def test_one_block_gets_all_shared_memory_but_what_the_system_keeps(chip):
    assert chip.shared_per_sm - chip.shared_per_block in (0, KIB)
    assert chip.threads_per_block <= chip.threads_per_sm


@ALL
def test_numbers_have_a_source_or_say_why_not(chip):
    assert len(chip.sources) >= 2
    assert all(hasattr(chip, name) for name in chip.unproven)


@pytest.mark.parametrize("chip", [T4, A10, A100, ORIN, L4], ids=lambda chip: chip.name)
def test_chips_up_to_sm_89_multiply_4_bit_integers(chip):
    assert int4_emulation(chip) == ""


def test_hopper_emulates_4_bits_and_says_what_to_use():
    assert re.search(r"h100 \(sm_90\) has no 4-bit .* use h100-int8", int4_emulation(H100))
