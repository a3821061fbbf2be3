"""Any network in few bits, and in many widths at once: onnxruntime gives the interpreter's bits."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from qcompile.analysis.bounds import Bounds
from qcompile.calibrate.collect import collect
from qcompile.ir.graph import Graph
from qcompile.ir.parse import parse
from qcompile.ir.text import blobs, dump
from qcompile.ir.types import Array
from qcompile.ir.widths import W4A4, W4A8, W8A8, Widths
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.choose_widths import WidthRule, choose_widths
from qcompile.passes.correct_bias import CorrectBias
from qcompile.passes.invariants import INTEGER
from qcompile.passes.quantize import Quantize
from qcompile.passes.recipe import Recipe
from qcompile.passes.specify import Specify
from qcompile.program.graph_file import read_graph, write_graph
from qcompile.stages import simplify
from tests.helpers import seeded_inputs
from tests.strategies import random_graph
from tests.targets.onnx.checks import qdq_output, same_bits

SEEDS = range(12)
KINDS = ("W4A4", "W4A8", "mixed")
CYCLE = (W4A4, W8A8, Widths(3, 4), W4A8, Widths(6, 4))


def rule(graph: Graph, kind: str) -> WidthRule:
    """One scheme for everything, or another one for each layer in turn."""
    if kind == "W4A4":
        return WidthRule(W4A4, ends=W4A4, depthwise=W4A4)
    if kind == "W4A8":
        return WidthRule(W4A8, ends=W4A8, depthwise=W4A8)
    layers = [node.name for node in choose_widths(graph, WidthRule())]
    return WidthRule(overrides={n: CYCLE[i % len(CYCLE)] for i, n in enumerate(layers)})


@cache
def stages(seed: int, kind: str) -> tuple[Graph, Graph]:
    """Calibrated and integer graph."""
    real = simplify(random_graph(seed))
    recipe = Recipe(widths=rule(real, kind))
    marked = Specify(recipe).run(real)
    samples = [seeded_inputs(real, seed=1000 + i) for i in range(4)]
    calibrated = Calibrate(collect(marked, observed(marked), samples)).run(marked)
    calibrated = CorrectBias(samples).run(calibrated)
    return calibrated, Quantize(recipe).run(calibrated)


def sample(graph: Graph, seed: int, spread: float) -> dict[str, Array]:
    values = seeded_inputs(graph, seed=seed)
    return {x.name: v * np.float32(spread) for x, v in zip(graph.inputs, values, strict=True)}


def formats(graph: Graph) -> set[str]:
    return {str(node.type.elem) for node in graph.nodes if node.type.is_quantized}


def read_back(graph: Graph, folder: Path) -> Graph:
    write_graph(graph, folder)
    return read_graph(folder)


@pytest.mark.parametrize("spread", [1.0, 30.0], ids=["usual", "saturated"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_bits_of_the_interpreter(seed: int, kind: str, spread: float):
    integer = stages(seed, kind)[1]
    same_bits(*integer.results, inputs=sample(integer, 7, spread))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_text_and_files_give_the_same_graph_back(tmp_path: Path, seed: int, kind: str):
    integer = stages(seed, kind)[1]
    text = dump(integer)
    assert dump(parse(text, blobs(integer))) == text
    again = read_back(integer, tmp_path)
    given = seeded_inputs(integer, seed=3)
    assert dump(again) == text
    for a, b in zip(integer.run(*given), again.run(*given), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_value_lies_in_its_format_and_its_bounds(seed: int, kind: str):
    integer, bounds = stages(seed, kind)[1], Bounds()
    whole = [node for node in integer.nodes if node.type.is_quantized]
    values = integer.values(tuple(sample(integer, 5, 30.0).values()), keep=whole)
    outside = [
        f"{node}: {value.min()} to {value.max()} is not in {bounds.of(node)}"
        for node, value in values
        if value.min() < max(bounds.of(node)[0], node.type.elem.lo)
        or value.max() > min(bounds.of(node)[1], node.type.elem.hi)
    ]
    assert outside == []


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_of_a_4_bit_network_stays_float(seed: int):
    assert list(INTEGER.offences(stages(seed, "W4A4")[1])) == []


def test_such_networks_hold_4_bit_values_and_weights_and_narrowing_between():
    found = set[str]().union(*(formats(stages(seed, "mixed")[1]) for seed in SEEDS))
    assert {"u4", "u8", "i4", "i3", "i6", "i8", "i32"} <= found


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_for_other_engines_are_near_the_fake_quantized_graph(seed: int):
    calibrated = stages(seed, "W4A8")[0]
    given = sample(calibrated, 7, 1.0)
    wanted = calibrated.run(*given.values())
    found = qdq_output(calibrated, given, optimize=False)
    for (name, _), value in zip(calibrated.outputs, wanted, strict=True):
        assert np.linalg.norm(found[name] - value) <= 0.1 * np.linalg.norm(value)
