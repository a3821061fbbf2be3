"""Tour, 6 of 7: a target of your own.

A target says what it wants quantized, what it cannot take, how it is written, and how it is opened.
Everything before it (reading, fusing, calibrating) and after it (verifying, packaging, reporting)
is the compiler's. This one is an imaginary chip: 4-bit weights, no table lookups. It borrows the
interpreter as its runtime; a real one would emit code in `emit` and load it in `open`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

import qcompile
from qcompile import targets
from qcompile.errors import NotLegal
from qcompile.ir.graph import Graph
from qcompile.ir.ops.integer import Lut
from qcompile.ir.widths import W4A8
from qcompile.passes import Recipe
from qcompile.passes.choose_widths import WidthRule
from qcompile.targets.reference.target import Reference
from tests.helpers import read


@dataclass(frozen=True)
class Tiny(Reference):
    """An imaginary chip."""

    name: str = "tiny-int4"
    summary: str = "imaginary: 4-bit weights, 8-bit activations"
    recipe: Recipe = field(default_factory=lambda: Recipe(widths=WidthRule(W4A8, ends=W4A8)))

    def refusals(self, graph: Graph) -> Sequence[str]:
        """It has no table lookup: say so for every one, before anything is written."""
        return [f"{n.name}: no table lookup" for n in graph.nodes if isinstance(n, Lut)]


TINY = Tiny()


# A package announces its targets as entry points of the group `qcompile.targets`; in pyproject.toml
#     [project.entry-points."qcompile.targets"]
#     tiny-int4 = "tiny.target:TINY"
@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("tiny-int4", f"{__name__}:TINY", "qcompile.targets")

    def found(group: str) -> tuple[EntryPoint, ...]:
        return (entry,) if group == entry.group else ()

    monkeypatch.setattr(targets, "entry_points", found)


MODEL = """
    def net(x: f32[1, 2, 6, 6]):
        w: f32[4, 2, 3, 3] = const(...)
        c = conv(x, w)
        y = {}(c)
        return y
    """
PICTURES = [{"x": np.random.default_rng(i).random((1, 2, 6, 6), np.float32)} for i in range(9)]


def test_it_compiles_with_weights_of_4_bits(tmp_path: Path):
    model = read(MODEL.format("relu"))
    artifact = qcompile.compile(model, target="tiny-int4", calib=PICTURES, output=tmp_path / "a")
    assert "w: i4[4, 2, 3, 3]" in (artifact.folder / "graph.qc").read_text()
    real = model.run(PICTURES[0]["x"])[0]
    assert np.abs(artifact.run(PICTURES[0])["y"] - real).max() < 0.15 * np.abs(real).max()


def test_what_it_cannot_take_is_refused_by_name(tmp_path: Path):
    model = read(MODEL.format("sigmoid"))
    with pytest.raises(NotLegal, match="tiny-int4 cannot take this model: y: no table lookup"):
        qcompile.compile(model, target="tiny-int4", calib=PICTURES, output=tmp_path / "a")
    assert not (tmp_path / "a").exists()
