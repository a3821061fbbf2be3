"""Does choosing bits layer by layer win?

`python -m tests.bench.bits` solves for ResNet-20 at the sizes of uniform 3, 4, 5 and 6 bits
(`--budget`, repeatable; activations have 8 bits) and measures the whole quantized network, weights
rounded and biases corrected as compiling does it, on pictures that no estimator saw. Beside the
assigned mix of 2, 3, 4, 6 and 8 bits stand:

- uniform: every layer in the budget's bits;
- reverse: the same problem with damages the wrong way round: layers are ranked by what their
  fewest bits damage, and each is given the damages of the one with the opposite rank;
- random: `--draws` assignments, each drawn layer by layer, then lowered at random until it fits and
  raised at random until nothing fits any more, so that all are as large as the budget lets them.
  Every other draw starts within one option of uniform, where random ones are best.

A draw beats the mix beyond noise when its error is less in 99 % of 2000 bootstrap resamples of the
pictures, both taken on the same ones.

`--model`, `--calib` and `--test` name another model and its samples (`label` in the test gives
accuracies); `--fashion DIR` takes the first training pictures of Fashion-MNIST as samples and the
first test pictures.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import log10
from pathlib import Path
from typing import Final

import click
import numpy as np

from qcompile.cache import Cache
from qcompile.ir.widths import Widths
from qcompile.numerics.packing import packed_size
from qcompile.passes.assign_bits import problem_of_widths, shared_weights, solve
from qcompile.passes.assignment.problem import Problem
from qcompile.sensitivity.estimate import DEFAULT, estimator, sensitivities
from qcompile.sensitivity.table import Sensitivities
from tests.bench.subject import MODELS, Assignment, Judged, Source, Subject, Values, prepared

OPTIONS: Final = tuple(Widths(bits, 8) for bits in (2, 3, 4, 6, 8))
RESAMPLES: Final = 2000
SURE: Final = 0.99
Damages = Mapping[tuple[str, Widths], float]


@dataclass(frozen=True)
class Run:
    """One budget of one subject."""

    subject: Subject
    budget: int
    table: Sensitivities
    draws: int


@click.command()
@click.option("--model", type=click.Path(path_type=Path), default=MODELS / "resnet20_fashion.onnx")
@click.option("--calib", default=str(MODELS / "resnet20_fashion_calib.npz"))
@click.option("--test", default=str(MODELS / "resnet20_fashion_test.npz"))
@click.option("--fashion", type=click.Path(path_type=Path), help="Folder of Fashion-MNIST.")
@click.option("--samples", default=64, help="For calibration and the estimator.")
@click.option("--pictures", default=500, help="To measure the truth on.")
@click.option("--budget", "budgets", multiple=True, default=(3, 4, 5, 6), help="Uniform bits.")
@click.option("--draws", default=50, help="Random assignments for each budget.")
@click.option("--by", default=DEFAULT, help="The estimator.")
@click.option("--threads", default=1)
@click.option(
    "--cache", type=click.Path(path_type=Path), help="Folder that keeps what was measured."
)
def main(
    model: Path,
    calib: str,
    test: str,
    fashion: Path | None,
    samples: int,
    pictures: int,
    budgets: tuple[int, ...],
    draws: int,
    by: str,
    threads: int,
    cache: Path | None,
) -> None:
    """Prints a table."""
    source = Source(calib, test, fashion)
    kept = None if cache is None else Cache(cache)
    subject = prepared(
        model, source, samples=samples, pictures=pictures, threads=threads, cache=kept
    )
    start = time.perf_counter()
    table = sensitivities(
        subject.given, subject.given.everywhere(OPTIONS), by=estimator(by), cache=kept
    )
    seconds = time.perf_counter() - start
    print(f"{model.name}: {len(table.names)} contractions, {samples} samples, {pictures} pictures")
    print(f"{by}: {seconds:.1f} s")
    print(f"{'budget':>8} {'who':22} {'bytes':>9} {'SQNR dB':>8} {'same %':>7} {'right %':>8}")
    show(subject, "", "uniform 8, the most", subject.uniform(8))
    for bits in budgets:
        budget = subject.size(subject.uniform(bits))
        compare(Run(subject, budget, table, draws), bits)


def compare(run: Run, bits: int) -> None:
    """The rows of one budget."""
    subject = run.subject
    assigned = assigned_within(run, run.table.damages)
    mix = show(subject, f"{bits} bits", "assigned", assigned)
    show(subject, "", f"uniform {bits}", subject.uniform(bits))
    show(subject, "", "reverse", assigned_within(run, reversed_damages(run)))
    rng = np.random.default_rng(bits)
    near = max(k for k, option in enumerate(OPTIONS) if option.weight <= bits)
    drawn = [random_within(run, rng, near=near if i % 2 else None) for i in range(run.draws)]
    found = [subject.judged(assignment) for assignment in drawn]
    if found:
        best = min(range(len(found)), key=lambda i: subject.damage(found[i]))
        middle = sorted(range(len(found)), key=lambda i: subject.damage(found[i]))[len(found) // 2]
        line(subject, "", "random, the best", drawn[best], found[best])
        line(subject, "", "random, the middle", drawn[middle], found[middle])
        less = sum(subject.damage(judged) < subject.damage(mix) for judged in found)
        surely = sum(beats(judged.errors, mix.errors) for judged in found)
        sizes = [subject.size(a) for a in drawn]
        print(f"{'':8} of {len(found)} random draws ({min(sizes)} to {max(sizes)} bytes)", end=" ")
        print(f"{less} damage less than the mix, {surely} beyond noise")
    counts = [sum(w.weight == o.weight for w in assigned.values()) for o in OPTIONS]
    shares = ", ".join(f"{n} in {o.weight}" for n, o in zip(counts, OPTIONS, strict=True) if n)
    print(f"{'':8} the mix: {shares} bits", flush=True)


def show(subject: Subject, head: str, who: str, assignment: Assignment) -> Judged:
    """Measures and prints a row."""
    found = subject.judged(assignment)
    line(subject, head, who, assignment, found)
    return found


def line(subject: Subject, head: str, who: str, assignment: Assignment, found: Judged) -> None:
    """Prints a row."""
    db = -10 * log10(subject.damage(found))
    same = 100 * np.mean(found.classes == subject.outputs.argmax(1))
    right = (
        "" if subject.labels is None else f"{100 * np.mean(found.classes == subject.labels):.2f}"
    )
    size = subject.size(assignment)
    print(f"{head:>8} {who:22} {size:9} {db:8.2f} {same:7.1f} {right:>8}", flush=True)


def problem_within(run: Run, damages: Damages) -> Problem:
    """The least of these damages within the budget; with those of pairs if the estimator's own."""
    sizes = {site.name: site.weight.data.size for site in run.subject.given.sites}
    costs = {(n, w): {"size": float(packed_size(sizes[n], w.weight))} for n, w in damages}
    ties = shared_weights(run.subject.real)
    return problem_of_widths(
        damages,
        costs,
        {"size": float(run.budget)},
        ties=ties,
        together=run.table.together.damages() if damages is run.table.damages else None,
    )


def assigned_within(run: Run, damages: Damages) -> dict[str, Widths]:
    """What the solver chooses."""
    problem = problem_within(run, damages)
    start = time.perf_counter()
    chosen = solve(problem)
    if damages is run.table.damages:
        seconds = time.perf_counter() - start
        print(f"{'':8} solved in {seconds:.1f} s: {chosen.objective:.3g}, gap {chosen.gap:.1%}")
    pairs = zip(problem.layers, chosen.options, strict=True)
    return {layer.name: Widths(option.bits, 8) for layer, option in pairs}


def reversed_damages(run: Run) -> dict[tuple[str, Widths], float]:
    """Each layer with the damages of the one with the opposite rank."""
    names = [site.name for site in run.subject.given.sites]
    ranked = sorted(names, key=lambda name: run.table.damages[name, OPTIONS[0]])
    opposite = dict(zip(ranked, ranked[::-1], strict=True))
    return {(name, w): run.table.damages[opposite[name], w] for name in names for w in OPTIONS}


def random_within(run: Run, rng: np.random.Generator, *, near: int | None) -> dict[str, Widths]:
    """Drawn, any option or within one of `near`; lowered until it fits, raised until full."""
    sizes = {site.name: site.weight.data.size for site in run.subject.given.sites}
    names, last = list(sizes), len(OPTIONS) - 1
    low, high = (0, last) if near is None else (max(near - 1, 0), min(near + 1, last))
    place = {name: int(rng.integers(low, high + 1)) for name in names}

    def cost(name: str, k: int) -> int:
        return packed_size(sizes[name], OPTIONS[k].weight)

    total = sum(cost(name, k) for name, k in place.items())
    while total > run.budget:
        name = str(rng.choice([name for name in names if place[name]]))
        place[name] -= 1
        total -= cost(name, place[name] + 1) - cost(name, place[name])
    for name in map(str, rng.permutation(names * last)):
        k = min(place[name] + 1, last)
        more = cost(name, k) - cost(name, place[name])
        if total + more <= run.budget:
            total, place[name] = total + more, k
    return {name: OPTIONS[k] for name, k in place.items()}


def beats(errors: Values, others: Values) -> bool:
    """Less in nearly all resamples of the pictures."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(len(errors), np.full(len(errors), 1 / len(errors)), RESAMPLES)
    return bool(np.mean(counts @ (errors - others) < 0) >= SURE)


if __name__ == "__main__":
    main()
