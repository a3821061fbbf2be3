"""Whole graphs by generated kernels in the emulator: integers bit for bit, reals nearly so."""

from pathlib import Path

import numpy as np
import pytest

from qcompile.targets.cuda.emulator import Emulator
from tests.targets.cuda.checks import built, case, nearly, run, same_bits
from tests.targets.cuda.nest_cases import EXACT, NEAR
from tests.targets.cuda.place_cases import gather_at_values

CASES = {name: case(name, graph) for name, graph in {**EXACT, **NEAR}.items()}
AT_VALUES = case("at_values", gather_at_values())


@pytest.fixture(scope="module")
def emulator(emulator_cache: Path) -> Emulator:
    return built([*CASES.values(), AT_VALUES], emulator_cache)


@pytest.mark.parametrize("name", EXACT)
def test_integers_are_the_interpreters(name: str, emulator: Emulator):
    same_bits(CASES[name], emulator)


@pytest.mark.parametrize("name", NEAR)
def test_reals_are_near_the_interpreters(name: str, emulator: Emulator):
    nearly(CASES[name], emulator, tolerance=1e-3)


def test_indices_that_are_known_at_run_time(emulator: Emulator):
    chosen = np.array([[0, 8, 3, -1, 2], [1, 1, 1, -9, 5]])
    (found,) = run(AT_VALUES, emulator, chosen)
    np.testing.assert_array_equal(found, AT_VALUES.graph.run(chosen)[0])
