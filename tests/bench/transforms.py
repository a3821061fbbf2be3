"""What rotations and scales recover when some channels are far out.

`python -m tests.bench.transforms` plants outliers, which leave the function as it is, in the small
Llama, vision transformer and Mamba of `models/`, quantizes them under every `--scheme`, and prints
perplexity on text or accuracy on pictures that no pass saw, by recipe: nothing done, scales alone,
Hadamard matrices, Hadamard matrices behind a Karhunen-Loève transform, and the best at each site.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import torch
from torch import nn

from qcompile.calibrate.collect import collect
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.ir.widths import parse_widths
from qcompile.models import llama, mamba, outliers, text, vit
from qcompile.models.outliers import Planted
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.invariants import CALIBRATED, STATIC
from qcompile.passes.pipeline import Pipeline
from qcompile.passes.quantize import Quantize
from qcompile.passes.recipe import Recipe
from qcompile.passes.transforms.notes import untold
from qcompile.read import load
from qcompile.recipe_file import parse_recipe, read_recipe
from qcompile.recipe_passes import passes_of
from qcompile.stages import simplify, specify

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = ROOT / "tests" / "data" / "jargon_excerpt.txt.gz"
LENGTH: Final = 64
SCHEMES: Final = ("W8A8", "W8A8-token", "W4A8-token", "W4A4-token")
EXPOSED: Final = "passes: [simplify, expose-sites, "
RECIPES: Final = {
    "none": parse_recipe("passes: [simplify]"),
    "smooth": read_recipe("smooth"),
    "hadamard": parse_recipe(EXPOSED + "rotate: {policy: hadamard}, rotate-online, simplify]"),
    "klt": parse_recipe(EXPOSED + "rotate: {policy: klt-hadamard}, simplify]"),
    "best": read_recipe("best"),
}
Sample = Sequence[Array]
Score = Callable[[Graph], float]


@dataclass(frozen=True)
class Subject:
    """A network with outliers, the samples that passes see, and how good a graph is on others."""

    graph: Graph
    samples: Sequence[Sample]
    score: Score
    unit: str


@click.command()
@click.option("--network", "names", multiple=True, default=("llama", "vit", "mamba"))
@click.option("--scheme", "schemes", multiple=True, default=SCHEMES, help="Repeatable.")
@click.option("--recipe", "recipes", multiple=True, default=tuple(RECIPES), help="Repeatable.")
@click.option("--factor", default=100.0, help="How far out the channels are.")
@click.option("--rows", default=40, help="Rows of text, and ten times as many pictures, to score.")
def main(
    names: Sequence[str],
    schemes: Sequence[str],
    recipes: Sequence[str],
    factor: float,
    rows: int,
) -> None:
    """Prints a line for each network, scheme and recipe."""
    for name in names:
        subject = SUBJECTS[name](factor, rows)
        print(f"{name}: float {subject.score(subject.graph):.3f} {subject.unit}", flush=True)
        for scheme in schemes:
            for recipe in recipes:
                start = time.perf_counter()
                found = subject.score(quantized(subject, recipe, scheme))
                seconds = time.perf_counter() - start
                print(f"  {scheme:12} {recipe:10} {found:10.3f}   {seconds:6.1f} s", flush=True)


def quantized(subject: Subject, recipe: str, scheme: str) -> Graph:
    """The integer program."""
    widths = parse_widths(scheme)
    own = Recipe(widths=WidthRule(default=widths, ends=widths, depthwise=widths))
    context = {"samples": tuple(subject.samples), "recipe": own, "threads": 1, "tell": untold}
    passes = passes_of(RECIPES[recipe], context)
    real = Pipeline(passes, frozenset({STATIC})).run(subject.graph)
    specified = specify(real, own)
    statistics = collect(specified, observed(specified), subject.samples)
    calibrated = Calibrate(statistics).run(specified)
    return Pipeline((Quantize(own),), frozenset({CALIBRATED})).run(calibrated)


def on_text(network: nn.Module, rows: int) -> Subject:
    """Perplexity over bytes; passes see the first quarter of the text."""
    tokens = text.read_text(TEXT)
    seen, held = tokens[: len(tokens) // 4], tokens[len(tokens) // 4 :]
    places = np.linspace(0, len(held) // LENGTH - 1, rows).astype(int)
    test = text.rows(held, LENGTH)[places].reshape(-1)
    samples = [(row[None],) for row in text.rows(seen, LENGTH)[:32]]
    graph = imported(network, torch.zeros(1, LENGTH, dtype=torch.int64))
    return Subject(graph, samples, lambda g: text.perplexity(runs(g), test), "perplexity")


def on_pictures(network: nn.Module, rows: int) -> Subject:
    """Percent right on pictures of Fashion-MNIST."""
    with np.load(ROOT / "models" / "resnet20_fashion_calib.npz") as data:
        samples = [(x[None],) for x in data["x"][:32]]
    with np.load(ROOT / "models" / "resnet20_fashion_test.npz") as data:
        pictures, labels = data["x"][: 10 * rows], data["label"][: 10 * rows]
    graph = imported(network, torch.zeros(1, 1, 28, 28))

    def score(g: Graph) -> float:
        right = [runs(g)(x[None]).argmax() == y for x, y in zip(pictures, labels, strict=True)]
        return 100 * float(np.mean(right))

    return Subject(graph, samples, score, "% right")


def imported(network: nn.Module, example: torch.Tensor) -> Graph:
    """The network as the compiler reads it."""
    return simplify(load(torch.export.export(network.eval(), (example,))))


def runs(graph: Graph) -> Callable[[Array], Any]:
    """One input to the first output."""
    return lambda x: graph.run(x)[0]


def _llama(factor: float, rows: int) -> Subject:
    what = Planted(norms=(3, 40), gated=(5, 77, 200), values=(2, 19), factor=factor)
    return on_text(outliers.planted_llama(llama.trained(), what), rows)


def _vit(factor: float, rows: int) -> Subject:
    what = Planted(norms=(3, 40), values=(2, 19), factor=factor)
    return on_pictures(outliers.planted_vit(vit.trained(), what), rows)


def _mamba(factor: float, rows: int) -> Subject:
    what = Planted(norms=(3, 40), gated=(5, 77), values=(1,), factor=factor)
    return on_text(outliers.planted_mamba(mamba.trained(), what), rows)


SUBJECTS: Final[Mapping[str, Callable[[float, int], Subject]]] = {
    "llama": _llama,
    "vit": _vit,
    "mamba": _mamba,
}

if __name__ == "__main__":
    main()
