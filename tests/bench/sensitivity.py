"""Do estimators of sensitivity tell the truth?

`python -m tests.bench.sensitivity` draws random widths for the weights of ResNet-20, quantizes it
so, and measures the outputs' error on pictures that no estimator saw. Then it prints Kendall's rank
correlation of each estimator's sum with that truth, for weights of every width and for assignments
without 2 bits, where errors are small and add up. The first row says how well the truth on one half
of the pictures foretells that on the other. `--model`, `--calib` and `--test` name another.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from scipy.stats import kendalltau

from qcompile.calibrate.collect import collect
from qcompile.calibrate.samples import open_samples
from qcompile.calibrate.statistics import Statistics
from qcompile.ir.graph import Graph
from qcompile.ir.widths import Widths
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.correct_bias import CorrectBias
from qcompile.passes.recipe import Recipe
from qcompile.read import load
from qcompile.sensitivity.agreement import damage_between
from qcompile.sensitivity.estimate import ESTIMATORS, estimator, sensitivities
from qcompile.sensitivity.study import Sample, Study, study
from qcompile.sensitivity.table import Sensitivities
from qcompile.stages import simplify, specify

MODELS: Final = Path(__file__).parents[2] / "models"
BITS: Final = ((2, 3, 4, 6, 8), (3, 4, 6, 8))
TOGETHER: Final = 16  # samples for mean errors, as when compiling
Assignment = Mapping[str, Widths]


@dataclass(frozen=True)
class Model:
    """A model with its calibration, and what is measured on it."""

    real: Graph
    statistics: Sequence[Statistics]
    given: Study
    test: Sequence[Sample]

    def damage(self, assignment: Assignment) -> tuple[float, float]:
        """Of the whole network, quantized as compiling does it, on each half of the test."""
        recipe = Recipe(widths=WidthRule(overrides=dict(assignment)))
        calibrated = Calibrate(self.statistics).run(specify(self.real, recipe))
        few = self.given.samples[:TOGETHER]
        corrected = CorrectBias(few, self.given.threads).run(calibrated)
        halves = (self.test[::2], self.test[1::2])
        one, two = (replace(self.given, samples=tuple(half)) for half in halves)
        return damage_between(one, corrected), damage_between(two, corrected)


@click.command()
@click.option("--model", type=click.Path(path_type=Path), default=MODELS / "resnet20_fashion.onnx")
@click.option("--calib", default=str(MODELS / "resnet20_fashion_calib.npz"))
@click.option("--test", default=str(MODELS / "resnet20_fashion_test.npz"))
@click.option("--samples", default=64, help="For calibration and estimators.")
@click.option("--pictures", default=200, help="To measure the truth on.")
@click.option("--draws", default=60, help="Random assignments in each group.")
@click.option("--threads", default=2)
@click.option("--by", "chosen", multiple=True, default=tuple(ESTIMATORS), help="Repeatable.")
def main(
    model: Path,
    calib: str,
    test: str,
    samples: int,
    pictures: int,
    draws: int,
    threads: int,
    chosen: tuple[str, ...],
) -> None:
    """Prints a row for each estimator."""
    subject = prepared(model, calib, test, samples, pictures, threads)
    names = [site.name for site in subject.given.sites]
    print(f"{model.name}: {len(names)} contractions, {samples} samples, {pictures} to measure on")
    groups = [drawn(names, bits, draws) for bits in BITS]
    start = time.perf_counter()
    halves = [[subject.damage(a) for a in group] for group in groups]
    truths = [[(one + two) / 2 for one, two in group] for group in halves]
    seconds = time.perf_counter() - start
    print(f"the truth of {2 * draws} assignments took {seconds:.0f} s; damages from", end=" ")
    print(", ".join(f"{min(t):.1e} to {max(t):.1e}" for t in truths))
    heads = " ".join(f"{f'tau {min(bits)}..8 bits':>14} {'sum/truth':>10}" for bits in BITS)
    print(f"{'estimator':18} {heads} {'seconds':>8} {'cpu':>7}")
    ceilings = (tau([a for a, _ in group], [b for _, b in group]) for group in halves)
    print("half the pictures ", " ".join(f"{ceiling:14.3f} {'':10}" for ceiling in ceilings))
    for name in chosen:
        show(name, subject.given, groups, truths)


def prepared(
    model: Path, calib: str, test: str, samples: int, pictures: int, threads: int
) -> Model:
    """The model read, simplified and calibrated at 8 bits."""
    real = simplify(load(model))
    recipe = Recipe()
    specified = specify(real, recipe)
    given = list(islice(open_samples(calib, real), samples))
    statistics = collect(specified, observed(specified), given, threads=threads)
    subject = study(specified, statistics, recipe, given, threads=threads)
    return Model(real, statistics, subject, list(islice(open_samples(test, real), pictures)))


def drawn(names: Sequence[str], bits: Sequence[int], count: int) -> list[Assignment]:
    """Independent widths for each contraction's weight."""
    rng = np.random.default_rng(len(bits))
    return [{n: Widths(int(rng.choice(bits)), 8) for n in names} for _ in range(count)]


def show(
    name: str,
    given: Study,
    groups: Sequence[Sequence[Assignment]],
    truths: Sequence[Sequence[float]],
) -> None:
    """Per group the rank correlation, and the median of predicted over true."""
    wall, cpu = time.perf_counter(), time.process_time()
    options = [Widths(b, 8) for b in sorted({b for bits in BITS for b in bits})]
    table = sensitivities(given, given.everywhere(options), by=estimator(name))
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
    return sum(table.damages[site] for site in assignment.items())


if __name__ == "__main__":
    main()
