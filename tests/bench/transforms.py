"""What rotations and scales recover when some channels are far out.

`python -m tests.bench.transforms` plants outliers, which leave the function as it is, in the small
Llama, vision transformer and Mamba of `models/`, quantizes them under every `--scheme`, and prints
perplexity on text or accuracy on pictures that no pass saw, by recipe: nothing done, scales alone,
Hadamard matrices, Hadamard matrices behind a Karhunen-Loève transform, these fused with scales, and
the best at each site.

With `--model FILE --calib FILE --test FILE` the subject is a network of your own, and the score how
far its last output is from the real one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import torch
from torch import nn

from qcompile.calibrate.collect import collect
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.ir.widths import Widths, parse_widths
from qcompile.models import llama, mamba, outliers, text, vit
from qcompile.models.outliers import Planted
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.invariants import CALIBRATED, STATIC
from qcompile.passes.pipeline import Pipeline
from qcompile.passes.quantize import Quantize
from qcompile.passes.recipe import Recipe
from qcompile.passes.round_weights import RoundWeights
from qcompile.passes.rounding.policy import NEAREST, POLICIES
from qcompile.passes.transforms.notes import untold
from qcompile.read import load
from qcompile.recipe_file import RecipeFile, parse_recipe, read_recipe
from qcompile.recipe_passes import passes_of
from qcompile.stages import simplify, specify

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = ROOT / "tests" / "data" / "jargon_excerpt.txt.gz"
LENGTH: Final = 64
SCHEMES: Final = ("W8A8-tensor", "W8A8-token", "W4A8-token", "W4A4-token")
EXPOSED: Final = "passes: [simplify, expose-sites, "
RECIPES: Final = {
    "none": parse_recipe("passes: [simplify]"),
    "smooth": read_recipe("smooth"),
    "hadamard": parse_recipe(EXPOSED + "rotate: {policy: hadamard}, rotate-online, simplify]"),
    "klt": parse_recipe(EXPOSED + "rotate: {policy: klt-hadamard}, rotate-online, simplify]"),
    "fused": parse_recipe(
        EXPOSED + "open-gates, rotate: {policy: klt-hadamard}, smooth, smooth, balance, "
        "close-gates, rotate-online, simplify]"
    ),
    "best": read_recipe("best"),
}
TABLE: Final = ("none", "smooth", "hadamard", "klt", "best")
Sample = Sequence[Array]
Score = Callable[[Graph], str]


@dataclass(frozen=True)
class Subject:
    """A network with outliers, the samples that passes see, and how good a graph is on others."""

    graph: Graph
    samples: Sequence[Sample]
    score: Score
    rule: Callable[[Widths], WidthRule]


@click.command()
@click.option("--network", "names", multiple=True, default=("llama", "vit", "mamba"))
@click.option("--scheme", "schemes", multiple=True, default=SCHEMES, help="Repeatable.")
@click.option("--recipe", "recipes", multiple=True, default=TABLE, help="Repeatable.")
@click.option("--rounding", "roundings", multiple=True, default=(NEAREST,), help="Repeatable.")
@click.option("--factor", default=100.0, help="How far out the channels are.")
@click.option("--rows", default=40, help="Rows of text, and ten times as many pictures, to score.")
@click.option("--model", help="A network of your own instead, with --calib and --test.")
@click.option("--calib", type=click.Path(path_type=Path), help="Samples for the passes, .npz.")
@click.option("--test", type=click.Path(path_type=Path), help="Samples to score, .npz.")
def main(
    names: Sequence[str],
    schemes: Sequence[str],
    recipes: Sequence[str],
    roundings: Sequence[str],
    factor: float,
    rows: int,
    model: str | None,
    calib: Path | None,
    test: Path | None,
) -> None:
    """Prints a line for each network, scheme, recipe and rounding."""
    subjects: Mapping[str, Callable[[], Subject]] = {
        name: partial(SUBJECTS[name], factor, rows) for name in names
    }
    if model is not None and calib is not None and test is not None:
        subjects = {Path(model).stem: lambda: on_file(model, calib, test, rows)}
    for name, built in subjects.items():
        subject = built()
        print(f"{name}: real {subject.score(subject.graph)}", flush=True)
        for scheme, recipe, rounding in product(schemes, recipes, roundings):
            start = time.perf_counter()
            found = subject.score(quantized(subject, recipe_of(recipe), scheme, rounding))
            seconds = time.perf_counter() - start
            print(f"  {scheme:14} {recipe:8} {rounding:8} {found}   {seconds:6.1f} s", flush=True)


def quantized(subject: Subject, recipe: RecipeFile, scheme: str, rounding: str = NEAREST) -> Graph:
    """The integer program."""
    widths = parse_widths(scheme)
    own = Recipe(widths=subject.rule(widths), rounding=rounding)
    context = {"samples": tuple(subject.samples), "recipe": own, "threads": 1, "tell": untold}
    passes = passes_of(recipe, context)
    real = Pipeline(passes, frozenset({STATIC})).run(subject.graph)
    specified = specify(real, own)
    statistics = collect(specified, observed(specified), subject.samples)
    calibrated = Calibrate(statistics).run(specified)
    if rounding != NEAREST:
        calibrated = RoundWeights(POLICIES[rounding], tuple(subject.samples)).run(calibrated)
    return Pipeline((Quantize(own),), frozenset({CALIBRATED})).run(calibrated)


def recipe_of(name: str) -> RecipeFile:
    """One of the table's, or a file."""
    return RECIPES[name] if name in RECIPES else read_recipe(name)


def on_file(model: str, calib: Path, test: Path, rows: int) -> Subject:
    """A network from a file: its last output against the real one, over all test samples."""
    given, asked = (
        {k: v for k, v in np.load(path).items() if k != "label"} for path in (calib, test)
    )
    shapes = {name: (1, *values.shape[1:]) for name, values in given.items()}
    whole = simplify(load(model, shapes=shapes))
    graph = Graph(whole.name, whole.inputs, whole.outputs[-1:])
    samples, held = (rows_of(graph, arrays, rows) for arrays in (given, asked))
    wanted = outputs(graph, held)

    def score(g: Graph) -> str:
        found = outputs(g, held)
        noise = np.square(found - wanted).sum() / np.square(wanted).sum()
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
        cosine = float(((found * wanted).sum(1) / norms).mean())
        return f"{-10 * np.log10(max(noise, 1e-12)):6.2f} dB, cosine {cosine:.5f}"

    return Subject(graph, samples, score, WidthRule)


def everywhere(widths: Widths) -> WidthRule:
    """The same widths at both ends, too."""
    return WidthRule(default=widths, ends=widths, depthwise=widths)


def rows_of(graph: Graph, arrays: Mapping[str, Array], rows: int) -> list[Sample]:
    """The first rows of named arrays, each a sample."""
    count = min(rows, *(len(values) for values in arrays.values()))
    return [tuple(arrays[node.name][i : i + 1] for node in graph.inputs) for i in range(count)]


def outputs(graph: Graph, samples: Sequence[Sample]) -> Any:
    """The first output of each, f64[samples, elements]."""
    return np.stack([graph.run(*x)[0].reshape(-1).astype(np.float64) for x in samples])


def on_text(network: nn.Module, rows: int) -> Subject:
    """Perplexity over bytes; passes see the first quarter of the text."""
    tokens = text.read_text(TEXT)
    seen, test = tokens[: len(tokens) // 4], held_rows(rows).reshape(-1)
    samples = [(row[None],) for row in text.rows(seen, LENGTH)[:32]]
    graph = imported(network, torch.zeros(1, LENGTH, dtype=torch.int64))

    def score(g: Graph) -> str:
        return f"{text.perplexity(runs(g), test):10.3f} perplexity"

    return Subject(graph, samples, score, everywhere)


def held_rows(count: int) -> Array:
    """i64[count, LENGTH]: rows from all over the text that passes do not see."""
    tokens = text.read_text(TEXT)
    rows = text.rows(tokens[len(tokens) // 4 :], LENGTH)
    return rows[np.linspace(0, len(rows) - 1, count).astype(int)]


def on_pictures(network: nn.Module, rows: int) -> Subject:
    """Percent right on pictures of Fashion-MNIST."""
    with np.load(ROOT / "models" / "resnet20_fashion_calib.npz") as data:
        samples = [(x[None],) for x in data["x"][:32]]
    with np.load(ROOT / "models" / "resnet20_fashion_test.npz") as data:
        pictures, labels = data["x"][: 10 * rows], data["label"][: 10 * rows]
    graph = imported(network, torch.zeros(1, 1, 28, 28))

    def score(g: Graph) -> str:
        right = [runs(g)(x[None]).argmax() == y for x, y in zip(pictures, labels, strict=True)]
        return f"{100 * float(np.mean(right)):10.2f} % right"

    return Subject(graph, samples, score, everywhere)


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
