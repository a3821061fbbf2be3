"""Do estimators of sensitivity tell the truth?

`python -m tests.bench.sensitivity` draws random widths for the weights of ResNet-20, quantizes it
so, and measures the outputs' error on pictures that no estimator saw. Then it prints Kendall's rank
correlation of each estimator's sum with that truth, for weights of every width and for assignments
without 2 bits, where errors are small and add up; beside it the median of foretold over true. An
estimator that knows of pairs counts them in. The first row says how well the truth on one half of
the pictures foretells that on the other.

`--model`, `--calib` and `--test` name others, one or several; `--fashion DIR` takes pictures of
Fashion-MNIST as samples for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from scipy.stats import kendalltau

from qcompile.cache import Cache
from qcompile.ir.widths import Widths
from qcompile.sensitivity.estimate import ESTIMATORS, estimator, sensitivities
from qcompile.sensitivity.table import Sensitivities
from tests.bench.subject import MODELS, Assignment, Source, Subject, prepared

BITS: Final = ((2, 3, 4, 6, 8), (3, 4, 6, 8))


@click.command()
@click.option(
    "--model", "models", type=click.Path(path_type=Path), multiple=True,
    default=(MODELS / "resnet20_fashion.onnx",), help="Repeatable, as its samples are.",
)  # fmt: skip
@click.option(
    "--calib", "calibs", multiple=True, default=(str(MODELS / "resnet20_fashion_calib.npz"),)
)
@click.option(
    "--test", "tests", multiple=True, default=(str(MODELS / "resnet20_fashion_test.npz"),)
)
@click.option("--fashion", type=click.Path(path_type=Path), help="Folder of Fashion-MNIST.")
@click.option("--samples", default=64, help="For calibration and estimators.")
@click.option("--pictures", default=200, help="To measure the truth on.")
@click.option("--draws", default=60, help="Random assignments in each group.")
@click.option("--threads", default=2)
@click.option("--by", "chosen", multiple=True, default=tuple(ESTIMATORS), help="Repeatable.")
@click.option(
    "--cache", type=click.Path(path_type=Path), help="Folder that keeps what was measured."
)
def main(
    models: tuple[Path, ...],
    calibs: tuple[str, ...],
    tests: tuple[str, ...],
    fashion: Path | None,
    samples: int,
    pictures: int,
    draws: int,
    threads: int,
    chosen: tuple[str, ...],
    cache: Path | None,
) -> None:
    """Prints for each model a row for each estimator."""
    kept = None if cache is None else Cache(cache)
    files = zip(calibs, tests, strict=True) if fashion is None else (("", ""),) * len(models)
    for model, (calib, test) in zip(models, files, strict=True):
        subject = prepared(
            model, Source(calib, test, fashion),
            samples=samples, pictures=pictures, threads=threads, cache=kept,
        )  # fmt: skip
        table(subject, draws, chosen)


def table(subject: Subject, draws: int, chosen: Sequence[str]) -> None:
    """The rows of one model."""
    names = [site.name for site in subject.given.sites]
    samples, pictures = len(subject.given.samples), len(subject.test)
    print(f"{subject.name}: {len(names)} contractions, {samples} samples, {pictures} to measure on")
    groups = [drawn(names, bits, draws) for bits in BITS]
    start = time.perf_counter()
    halves = [[truth(subject, a) for a in group] for group in groups]
    truths = [[(one + two) / 2 for one, two in group] for group in halves]
    seconds = time.perf_counter() - start
    print(f"the truth of {2 * draws} assignments took {seconds:.0f} s; damages from", end=" ")
    print(", ".join(f"{min(t):.1e} to {max(t):.1e}" for t in truths))
    heads = " ".join(f"{f'tau {min(bits)}..8 bits':>14} {'sum/truth':>10}" for bits in BITS)
    print(f"{'estimator':18} {heads} {'seconds':>8} {'cpu':>7}")
    ceilings = (tau([a for a, _ in group], [b for _, b in group]) for group in halves)
    print("half the pictures ", " ".join(f"{ceiling:14.3f} {'':10}" for ceiling in ceilings))
    for name in chosen:
        show(name, subject, groups, truths)


def truth(subject: Subject, assignment: Assignment) -> tuple[float, float]:
    """The damage on each half of the test."""
    errors, powers = subject.judged(assignment).errors, subject.powers
    one, two = (float(errors[i::2].sum() / powers[i::2].sum()) for i in (0, 1))
    return one, two


def drawn(names: Sequence[str], bits: Sequence[int], count: int) -> list[Assignment]:
    """Independent widths for each contraction's weight."""
    rng = np.random.default_rng(len(bits))
    return [{n: Widths(int(rng.choice(bits)), 8) for n in names} for _ in range(count)]


def show(
    name: str,
    subject: Subject,
    groups: Sequence[Sequence[Assignment]],
    truths: Sequence[Sequence[float]],
) -> None:
    """Per group the rank correlation, and the median of predicted over true."""
    wall, cpu = time.perf_counter(), time.process_time()
    options = [Widths(b, 8) for b in sorted({b for bits in BITS for b in bits})]
    given = subject.given
    table = sensitivities(given, given.everywhere(options), by=estimator(name), cache=subject.cache)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    cells: list[str] = []
    for group, truth in zip(groups, truths, strict=True):
        sums = [total(table, assignment) for assignment in group]
        ratio = np.median(np.divide(sums, truth))
        cells.append(f"{tau(sums, truth):14.3f} {ratio:10.2f}")
    print(f"{name:18} {' '.join(cells)} {wall:8.1f} {cpu:7.1f}", flush=True)


def tau(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall's rank correlation."""
    found: Any = kendalltau(a, b)
    return float(found.statistic)


def total(table: Sensitivities, assignment: Assignment) -> float:
    """What the estimator says about the whole assignment."""
    if table.together.questions:
        return table.together.damage(assignment)
    return sum(table.damages[site] for site in assignment.items())


if __name__ == "__main__":
    main()
