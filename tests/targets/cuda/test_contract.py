"""The contraction template gives numpy's sums, whatever tile, shape and order of threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qcompile.targets.cuda.emulator import Emulator, emulator_library
from qcompile.targets.cuda.sanitized import SANITIZE, run_sanitized
from qcompile.targets.cuda.sanitized import Case as Launch
from tests.targets.cuda.contract_cases import (
    ARCHS,
    BITS,
    SHAPES,
    Case,
    Images,
    arrays,
    expected,
    facts,
    label,
    named,
    run,
    source,
    wrong,
)

ORDERS = range(4)

RAGGED = Images(300, 1, 1, 224)
PADDED_WINDOW = Images(2, 9, 11, 32, window=3)
STRIDED = Images(3, 9, 10, 128, window=3, stride=2, word=64)
WORD_32 = Images(2, 6, 5, 64, window=2, word=32)
STEM = Images(1, 21, 23, 8, window=7, stride=2, word=4)
WORD_8 = Images(2, 9, 9, 16, window=3, word=8)
GROUPED = Images(2, 7, 8, 32, window=3, groups=3)
VECTOR = Images(1, 1, 1, 4608)
PANELS = Images(40, 1, 1, 6144, word=64)  # the weights of four tiles are cut into two panels
SHORTEST = Images(40, 1, 1, 8, word=4)
ONE_PLACE_EACH = Images(7, 1, 1, 4608, word=64)

EVERY = (
    (RAGGED, 130, 1),
    (PADDED_WINDOW, 270, 2),
    (STRIDED, 33, 3),
    (WORD_32, 64, 1),
    (STEM, 17, 2),
    (WORD_8, 100, 1),
    (GROUPED, 300, 2),
    (VECTOR, 1, 3),
    (SHORTEST, 31, 2),
    (ONE_PLACE_EACH, 70, 3),
)

# Every tile on both architectures; beside that each kind of shape, width and split at least once.
BIG, WIDE, LONG, HIGH, MIDDLE, LOW, FLAT, SMALL, LEAST = SHAPES
FEW = named(
    [
        Case(75, 8, 8, BIG, RAGGED, 130),
        Case(80, 4, 4, BIG, STRIDED, 150, splits=2),
        Case(75, 4, 4, WIDE, PADDED_WINDOW, 270, unsigned=False),
        Case(80, 8, 4, WIDE, RAGGED, 257),
        Case(75, 8, 4, LONG, STRIDED, 70, splits=2),
        Case(80, 8, 8, LONG, GROUPED, 130, unsigned=False),
        Case(75, 4, 4, HIGH, GROUPED, 300),
        Case(80, 4, 4, HIGH, PADDED_WINDOW, 129, unsigned=False),
        Case(75, 8, 8, MIDDLE, STEM, 64, unsigned=False),
        Case(80, 8, 8, MIDDLE, STEM, 64, stages=4),
        Case(75, 4, 4, LOW, STEM, 24),
        Case(80, 4, 4, LOW, WORD_8, 17),
        Case(75, 8, 4, FLAT, ONE_PLACE_EACH, 100, splits=3, unsigned=False),
        Case(80, 8, 4, FLAT, ONE_PLACE_EACH, 100, stages=4, unsigned=False),
        Case(75, 4, 4, SMALL, WORD_32, 33, unsigned=False, splits=3),
        Case(80, 8, 8, SMALL, SHORTEST, 1),
        Case(75, 8, 8, LEAST, SHORTEST, 1),
        Case(80, 4, 4, LEAST, VECTOR, 40, splits=3, stages=4),
        Case(75, 8, 8, LEAST, VECTOR, 40, splits=2),
        Case(80, 8, 4, LEAST, WORD_8, 20, splits=3),
        Case(80, 8, 8, SMALL, PANELS, 250),
    ]
)

CLEAN = [FEW[0], FEW[1], FEW[9], FEW[13]]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    return emulator(FEW, tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kernels = {case.name: source(case) for case in CLEAN}
    return emulator_library(kernels, cache=tmp_path_factory.mktemp("clean"), flags=SANITIZE)


def emulator(cases: list[Case], cache: Path) -> Emulator:
    return Emulator(emulator_library({case.name: source(case) for case in cases}, cache=cache))


def title(parameter: object) -> str | None:
    return label(parameter) if isinstance(parameter, Case) else None


EACH = pytest.mark.parametrize("case", FEW, ids=title)


@EACH
@pytest.mark.parametrize("order", ORDERS)
def test_sums_are_numpys(few: Emulator, case: Case, order: int):
    sums, _ = run(few, case, order=order)
    np.testing.assert_array_equal(sums, expected(case))


@EACH
def test_no_access_to_shared_memory_waits_for_a_bank(few: Emulator, case: Case):
    _, stats = run(few, case)
    assert (stats.matrix_conflicts, stats.access_conflicts) == (0, 0)


@EACH
def test_python_and_template_agree_on_the_launch(few: Emulator, case: Case):
    assert facts(few, case) == [case.tile.threads, case.shared_bytes, case.blocks]


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("case", CLEAN, ids=title)
def test_sanitizers_find_nothing(sanitized: Path, case: Case, order: int):
    launch = Launch(
        sanitized, case.name, grid=(case.blocks,), block=(case.tile.threads,),
        shared=case.shared_bytes, order=order,
    )  # fmt: skip
    *_, sums = run_sanitized(launch, arrays(case))
    np.testing.assert_array_equal(sums.sum(axis=0), expected(case))


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_are_numpys_for_every_shape(
    shape: tuple[int, int, int, int], bits: tuple[int, int], arch: int, tmp_path: Path
):
    cases = named(
        [
            Case(arch, *bits, shape, images, outputs, unsigned=unsigned, splits=splits)
            for images, outputs, splits in EVERY
            for unsigned in (False, True)
        ]
    )
    assert wrong(emulator(cases, tmp_path), cases, ORDERS) == []
