"""Each deliberate fault in the contraction template is seen by the emulator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from qcompile.targets.cuda.emulator import EmulationError, Emulator, emulator_library
from tests.targets.cuda.contract_cases import HEADERS, Case, Images, named, source, wrong

ORDERS = range(4)
IMAGES = Images(3, 9, 10, 64, window=3, word=64)
SOUND = named(
    [
        Case(75, 8, 8, (64, 64, 32, 32), IMAGES, 80, splits=2),
        Case(80, 8, 8, (64, 64, 32, 32), IMAGES, 80, splits=2),
        Case(80, 8, 4, (64, 128, 32, 64), IMAGES, 100, unsigned=False),
        Case(75, 4, 4, (128, 128, 64, 32), Images(150, 1, 1, 128), 70),
    ]
)
OLD, BACKGROUND, PACKED, FOUR = SOUND
TILE, COPY, PRODUCTS, FINISH, CONTRACT = (
    f"qc_{part}.cuh" for part in ("tile", "copy", "products", "finish", "contract")
)
OWN = {name: HEADERS[name] for name in (TILE, COPY, PRODUCTS, FINISH, CONTRACT)}
OWN_INCLUDE = re.compile(rf'#include "({"|".join(map(re.escape, OWN))})"\n')
BARRIER = "__syncthreads();"


@dataclass(frozen=True, slots=True)
class Mutant:
    """`header` with its `count`-th occurrence of `text` replaced, tried on `sound`."""

    fault: str
    header: str
    text: str
    replacement: str
    sound: Case
    count: int = 0

    @property
    def case(self) -> Case:
        return replace(self.sound, name=re.sub(r"\W", "_", self.fault))

    @property
    def kernel(self) -> str:
        return flat(self.case, OWN | {self.header: self._patched()})

    def _patched(self) -> str:
        parts = OWN[self.header].split(self.text)
        assert len(parts) > self.count + 1, f"{self.header} has changed: no {self.text}"
        head, tail = parts[: self.count + 1], parts[self.count + 1 :]
        return self.text.join(head) + self.replacement + self.text.join(tail)


def flat(case: Case, headers: Mapping[str, str]) -> str:
    """The kernel and the headers in one text, so that each fault has its own headers."""
    return OWN_INCLUDE.sub("", "".join(headers.values()) + source(case))


MUTANTS = [
    Mutant("no barrier before the first step", CONTRACT, BARRIER, "", OLD, 0),
    Mutant("no barrier after a step", CONTRACT, BARRIER, "", OLD, 1),
    Mutant("no barrier before a stage is refilled", CONTRACT, BARRIER, "", BACKGROUND, 2),
    Mutant("waits for one group too few", CONTRACT, "<AHEAD - 1>", "<AHEAD>", BACKGROUND),
    Mutant("fills the stage in use", CONTRACT, "free = AHEAD * STAGE", "free = 0", BACKGROUND),
    Mutant("writes the stage in use", CONTRACT, "other = now", "other = next", OLD),
    Mutant("one step short", CONTRACT, "step < at.last;", "step < at.last - 1;", OLD),
    Mutant("the tile of another warp", CONTRACT, "% Shape::WARPS_N", "% 1", FOUR),
    Mutant("no swizzle", TILE, "(chunk ^ (row / (8 / CHUNKS) % CHUNKS))", "chunk", OLD),
    Mutant("half a swizzle", TILE, "% CHUNKS))) * CHUNK", "% 2))) * CHUNK", BACKGROUND),
    Mutant("splits overlap", TILE, "/ Problem::SPLITS", "/ 3", OLD),
    Mutant("places beyond the last are read", COPY, "m < Problem::M ? m :", "true ? m :", OLD),
    Mutant("weights of the first tile", COPY, "(unsigned)n_tile", "0u", OLD),
    Mutant("chunks of another row", COPY, "row + i * (THREADS", "row + 0 * (THREADS", OLD),
    Mutant("a column too far", COPY, "+ inside", "+ inside + 16", BACKGROUND),
    Mutant("rows of the wrong half", PRODUCTS, "lane % 16, lane / 16", "lane, 0", BACKGROUND),
    Mutant("operands swapped", PRODUCTS, "[j + e / 2][e % 2]", "[j + e % 2][e / 2]", BACKGROUND),
    Mutant("rows one tile off", PRODUCTS, "from + i * 8", "from + 0 * 8", FOUR),
    Mutant("nibbles without sign", PRODUCTS, "<< 4 & HIGH_NIBBLES", "& 0x0F0F0F0F", PACKED),
    Mutant("sums not divided", PRODUCTS, "PACKED_SHIFT = 4", "PACKED_SHIFT = 3", PACKED),
    Mutant("rows of the other half", PRODUCTS, "i % 2 == 0 ?", "i % 2 == 1 ?", BACKGROUND),
    Mutant("channels of another lane", FINISH, "lane % 4 * RUN", "lane / 8 * RUN", OLD),
    Mutant("products of the first half", FINISH, "wide * 4 + j", "j", PACKED),
    Mutant("products beside each other", FINISH, "run[j * 2] =", "run[(j ^ 1) * 2] =", FOUR),
    Mutant("places of one fragment", FINISH, "i * 8 + lane / 4", "lane / 4", BACKGROUND),
    Mutant("channels beyond are stored", FINISH, "n < Problem::N_STORED", "true", OLD),
    Mutant(
        "the last place is not stored", FINISH, "|| m < Problem::M", "|| m + 1 < Problem::M", FOUR
    ),
]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    sound = {case.name: flat(case, OWN) for case in SOUND}
    faulty = {mutant.case.name: mutant.kernel for mutant in MUTANTS}
    return Emulator(emulator_library(sound | faulty, cache=tmp_path_factory.mktemp("mutants")))


def complaints(emulator: Emulator, case: Case) -> list[str]:
    try:
        return wrong(emulator, [case], ORDERS)
    except EmulationError as error:
        return [str(error)]


@pytest.mark.parametrize("case", SOUND, ids=lambda case: case.name)
def test_the_template_itself_passes(emulator: Emulator, case: Case):
    assert complaints(emulator, case) == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault)
def test_a_fault_is_seen(emulator: Emulator, mutant: Mutant):
    assert complaints(emulator, mutant.case) != []
