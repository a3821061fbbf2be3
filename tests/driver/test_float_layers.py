"""--float-layers: float is one option more, of which only so many are taken."""

import json
from pathlib import Path

import pytest

import qcompile
from qcompile.artifact import Artifact
from qcompile.float_layers import with_float_layers
from qcompile.passes.assign_bits import Layer, Option, Problem, solve

MODELS = Path(__file__).parents[2] / "models"
RESNET20 = MODELS / "resnet20_fashion.onnx"
CALIB = str(MODELS / "resnet20_fashion_calib.npz")

LAYERS = tuple(
    Layer(f"l{i}", (Option("W8A8", 8, damage, {"size": 8.0}),))
    for i, damage in enumerate([1.0, 3.0, 2.0])
)
FLOATS = {layer.name: {"size": 32.0} for layer in LAYERS}


@pytest.mark.parametrize(
    ("most", "chosen"),
    [
        (0, ("W8A8", "W8A8", "W8A8")),
        (1, ("W8A8", "float", "W8A8")),
        (2, ("W8A8", "float", "float")),
        (3, ("float", "float", "float")),
    ],
)
def test_the_worst_layers_stay_in_float(most, chosen):
    problem = with_float_layers(Problem(LAYERS), FLOATS, at_most=most)
    assert tuple(option.name for option in solve(problem).options) == chosen


def test_without_float_layers_the_problem_is_the_same():
    problem = Problem(LAYERS)
    assert with_float_layers(problem, FLOATS, at_most=0) is problem


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Artifact:
    return qcompile.compile(
        RESNET20, target="onnx-int", calib=CALIB, bits="auto", budget={"size": 280_000.0},
        float_layers=2, output=tmp_path_factory.mktemp("float") / "it",
    )  # fmt: skip


def planned(artifact: Artifact) -> list[str]:
    choices = json.loads((artifact.folder / "plan.json").read_text())["choices"]
    return [choice["node"] for choice in choices if choice["widths"] == "float"]


def test_what_the_plan_leaves_in_float_is_in_float(built):
    islands = {island["node"] for island in built.summary["coverage"]["float_islands"]}
    assert 0 < len(planned(built)) <= 2
    assert islands >= set(planned(built))


def test_the_size_is_within_the_budget(built):
    used = json.loads((built.folder / "plan.json").read_text())["solver"]["limits"]["size"]["used"]
    assert built.summary["size"]["weight_bytes"] == used <= 280_000


def test_a_plan_with_float_replays_byte_for_byte(built, tmp_path):
    again = qcompile.compile(
        RESNET20, target="onnx-int", calib=CALIB, plan=built.folder / "plan.json",
        output=tmp_path / "again",
    )  # fmt: skip
    assert again.digest == built.digest
