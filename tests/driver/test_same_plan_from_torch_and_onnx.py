"""A model read from ONNX and from torch.export: the same sites, and the same choices at them."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from qcompile.analysis.axes import described
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.ir.widths import parse_widths
from qcompile.models import bert, llama, mamba, vit
from qcompile.models.export import export
from qcompile.models.text import read_text, rows
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.invariants import STATIC
from qcompile.passes.pipeline import Pipeline
from qcompile.passes.recipe import Recipe
from qcompile.passes.transforms.notes import Note
from qcompile.read import load
from qcompile.recipe_file import read_recipe
from qcompile.recipe_passes import passes_of
from qcompile.stages import simplify

DATA = Path(__file__).parents[1] / "data"
FOUR_BITS = parse_widths("W4A4-token")
RECIPE = Recipe(widths=WidthRule(default=FOUR_BITS, ends=FOUR_BITS))
NAMES = re.compile(r"(?<=[:;] )[^:;]*: |output \S+")
MODELS = [llama, bert, mamba, vit]
pytestmark = pytest.mark.slow
Sample = tuple[Array, ...]


def module_name(value: Any) -> str:
    return str(getattr(value, "__name__", value)).rpartition("models.")[2]


def samples(model: ModuleType) -> list[Sample]:
    """Eight rows of text or pictures."""
    if model is vit:
        with np.load(Path(vit.__file__).parent / "resnet20_fashion_calib.npz") as data:
            return [(x[None],) for x in data["x"][:8]]
    return [(row[None],) for row in rows(read_text(DATA / "jargon_excerpt.txt.gz"), 16)[:8]]


@cache
def both(model: ModuleType, folder: Path) -> tuple[Graph, Graph]:
    """(read from torch.export, read from ONNX)."""
    network, x = model.trained().eval(), torch.from_numpy(samples(model)[0][0])
    file = folder / f"{module_name(model)}.onnx"
    export(network, (x,), file)
    return simplify(load(torch.export.export(network, (x,)))), simplify(load(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def sites(graph: Graph) -> Iterator[tuple[Any, ...]]:
    for site in described(graph):
        yield site["kind"], site["role"], site["group"], site["size"], site["blocks"], site["adds"]


def plan(graph: Graph, seen: Sequence[Sample]) -> list[Note]:
    """What the passes of `best` choose, site by site."""
    notes: list[Note] = []
    context = {"samples": tuple(seen), "recipe": RECIPE, "threads": 1, "tell": notes.append}
    Pipeline(passes_of(read_recipe("best"), context), frozenset({STATIC})).run(graph)
    return notes


def decision(note: Note) -> tuple[str, ...]:
    """A note without the names that each exporter gives to what blocks a site."""
    return note.by, note.role, note.choice, NAMES.sub("", note.reason)


@pytest.mark.parametrize("model", MODELS, ids=module_name)
def test_has_the_same_sites_in_the_same_order(model: ModuleType, folder: Path):
    one, two = both(model, folder)
    assert list(sites(one)) == list(sites(two))


@pytest.mark.parametrize("model", MODELS, ids=module_name)
def test_gets_the_same_choices_for_the_same_errors(model: ModuleType, folder: Path):
    one, two = (plan(graph, samples(model)) for graph in both(model, folder))
    assert [decision(note) for note in one] == [decision(note) for note in two]
    np.testing.assert_allclose([n.after for n in one], [n.after for n in two], rtol=1e-3)
