"""Damaged CUDA artifacts end in a code with words or in a run, never in a crash, hang or leak."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from qcompile.targets.compilers import c_compiler
from qcompile.targets.cuda.host import write_sources
from tests.fuzz.cuda_mutants import mutated
from tests.targets.cuda.small_model import compile_c

SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
HERE = Path(__file__).parent
LIMIT = 60  # seconds for a hundred artifacts, which take a few
BATCH = 100


class Outcome(NamedTuple):
    """What was said about one artifact, and whether it was well behaved."""

    seed: int
    lines: tuple[str, ...]

    @property
    def opened(self) -> bool:
        return self.lines[:1] == ("open 0 ",)

    @property
    def computed(self) -> bool:
        return "run 0 " in self.lines

    @property
    def is_bug(self) -> bool:
        """No end, something left behind, or a code without words."""
        codes = [line.split(" ", 2) for line in self.lines[:-1]]
        silent = any(code != "0" and not text for _, code, text in codes)
        return self.lines[-1:] != ("end 0",) or silent


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The harness and the driver it takes."""
    folder = tmp_path_factory.mktemp("loader")
    write_sources(folder)
    loader = compile_c(
        HERE / "cuda_loader.c", folder / "loader", *SANITIZED, f"-I{folder}",
        str(folder / "qcrt.c"), "-ldl",
    )  # fmt: skip
    source = HERE.parent / "targets" / "cuda" / "fake_driver.c"
    driver = compile_c(source, folder / "fake.so", *SANITIZED, "-fPIC", "-shared")
    return [str(loader), str(driver)]


def outcomes(program: list[str], seeds: range, folder: Path) -> Iterator[Outcome]:
    """Each artifact's; what comes after a crash has no lines."""
    request = [asked(seed, folder) for seed in seeds]
    done = subprocess.run(
        program, input="\n".join(request), capture_output=True, text=True, errors="replace",
        timeout=LIMIT, check=False,
    )  # fmt: skip
    answers = done.stdout.splitlines()
    ends = [i for i, line in enumerate(answers) if line.startswith("end ")]
    starts = [0, *(end + 1 for end in ends)]
    told = [answers[a : b + 1] for a, b in zip(starts, ends, strict=False)]
    told.append([*answers[starts[-1] :], *done.stderr.splitlines()])
    for seed, lines in zip(seeds, told, strict=False):
        yield Outcome(seed, tuple(lines))
    assert len(ends) == len(seeds), f"the harness ended with {done.returncode}: {done.stderr}"


def asked(seed: int, folder: Path) -> str:
    """Writes the artifact; the harness's line for it."""
    place = folder / str(seed)
    place.mkdir()
    for name, data in mutated(seed).items():
        (place / name).write_bytes(data)
    return f"{seed % 3 != 0:d} {seed % 2:d} {place}"


def test_a_hundred_damaged_artifacts(program: list[str], tmp_path: Path):
    found = list(outcomes(program, range(BATCH), tmp_path))
    assert [outcome for outcome in found if outcome.is_bug] == []
    assert sum(outcome.computed for outcome in found) >= 10
    assert sum(not outcome.opened for outcome in found) >= 30


def test_the_causes_are_many(program: list[str], tmp_path: Path):
    found = list(outcomes(program, range(BATCH), tmp_path))
    told = Counter(line for outcome in found for line in outcome.lines if line.startswith("open"))
    assert len(told) >= 15


@pytest.mark.slow
@pytest.mark.parametrize("first", range(BATCH, BATCH + 1000, BATCH))
def test_a_thousand_damaged_artifacts(first: int, program: list[str], tmp_path: Path):
    found = list(outcomes(program, range(first, first + BATCH), tmp_path))
    assert [outcome for outcome in found if outcome.is_bug] == []


def test_the_harness_sees_an_undamaged_model_run(program: list[str], tmp_path: Path):
    from tests.targets.cuda.small_model import written

    done = subprocess.run(
        program, input=f"0 1 {written(tmp_path)}\n", capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("open 0 ", "end 0")
    assert lines.count("run 0 ") == 8
    assert lines.count("trace 0 ") == 4


def test_the_sanitizers_are_on(program: list[str]):
    assert c_compiler("x86_64-linux-gnu")
    listed = subprocess.run(["nm", "-D", program[0]], capture_output=True, text=True, check=True)
    assert "__asan_init" in listed.stdout
