"""Tour, 7 of 7: where a matrix or a scale may act on a graph and cancel, and what that is good for.

One channel far out costs all others their steps. A scale or a rotation that one weight puts on and
the next takes off moves it; the analysis finds where that is exact, for any graph.
"""

import numpy as np

from qcompile.analysis.axes import Group, described, rotation_sites, scaling_sites
from qcompile.ir.graph import Graph
from qcompile.ir.ops.binary import Mul
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.pointwise import Silu
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import F32, Array, TensorType
from qcompile.ir.widths import W4A4
from qcompile.passes import Recipe, Rotate, RotateOnline, Smooth
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.transforms import rotated, scaled
from qcompile.passes.transforms.equality import difference
from qcompile.passes.transforms.notes import Note

rng = np.random.default_rng(0)
FOUR_BITS = Recipe(widths=WidthRule(default=W4A4, ends=W4A4))
FAR = np.where(np.arange(16) == 3, 10.0, 1.0)


def weight(name: str, numbers: Array) -> Const:
    return const(numbers.astype(np.float32), name=name)


# A gated unit, and a narrow value between two weights, its fourth channel far out.
x = Input(TensorType((1, 32, 16), F32), name="x")
up = MatMul(x, weight("up_weight", rng.normal(size=(16, 64))), name="up")
gate = MatMul(x, weight("gate_weight", rng.normal(size=(16, 64))), name="gate")
inner = Mul(up, Silu(gate), name="inner")
narrow = MatMul(inner, weight("down_weight", rng.normal(size=(64, 16)) * FAR), name="narrow")
out = MatMul(narrow, weight("out_weight", rng.normal(size=(16, 8)) / FAR[:, None]), name="out")
MODEL = Graph("mlp", (x,), (("y", Silu(out)),))
SAMPLES = [(rng.normal(size=(1, 32, 16)).astype(np.float32),) for _ in range(4)]


# `qcompile sites` prints this list. Nothing but a permutation passes silu; a product takes a scale
# through its linear factor; between two weights every matrix with an inverse may act.
def test_sites_are_found_not_listed():
    found = [(d["kind"], d["site"], d["group"]) for d in described(MODEL)]
    assert ("scaling", "inner", "positive scale") in found
    assert ("rotation", "narrow", "GL(16)") in found
    assert ("online", "inner", "GL(64)") in found


# By hand: any scale, any matrix of the site's group. The function stays.
def test_a_scale_and_a_matrix_cancel():
    site = next(s for s in scaling_sites(MODEL) if s.name == "inner")
    graph = scaled(MODEL, site, np.exp(rng.normal(size=64)))
    (free,) = (s for s in rotation_sites(graph) if s.group is Group.GENERAL)
    graph = rotated(graph, free, np.eye(16) + rng.normal(size=(16, 16)) / 10)
    assert graph is not MODEL
    assert difference(MODEL, graph, SAMPLES) < 1e-5


# As passes, one by one: they look at samples, judge every candidate by the error that quantizing
# leaves, and tell what they chose, and what blocks the sites that they leave alone.
def test_passes_choose_by_what_it_costs():
    notes: list[Note] = []
    tell = notes.append
    Rotate("hadamard", samples=SAMPLES, recipe=FOUR_BITS, tell=tell).run(MODEL)
    graph = Rotate("best", samples=SAMPLES, recipe=FOUR_BITS, tell=tell).run(MODEL)
    graph = Smooth(alpha=0.5, samples=SAMPLES, recipe=FOUR_BITS, tell=tell).run(graph)
    graph = RotateOnline(samples=SAMPLES, recipe=FOUR_BITS, tell=tell).run(graph)
    hadamard, best = (n for n in notes if n.by == "rotate" and n.choice != "none")
    assert all(note.reason.startswith("refused") for note in notes if not note.before)
    assert (hadamard.site, hadamard.choice) == ("narrow", "hadamard")
    assert best.after < hadamard.after < hadamard.before
    assert difference(MODEL, graph, SAMPLES) < 1e-5
