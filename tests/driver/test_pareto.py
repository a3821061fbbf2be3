"""`qcompile pareto`: points that fall, plans that replay, the same bytes every time."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest

import qcompile
from qcompile.cli.guard import run as command
from tests.cli.conftest import network


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("pareto")
    onnx.save(network(), folder / "small.onnx")
    samples = np.random.default_rng(1).standard_normal((16, 3, 8, 8), np.float32)
    np.savez(folder / "calib.npz", x=samples)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield folder


def drawing(place: Path, output: Path, *others: str) -> int:
    call = ["pareto", place / "small.onnx", "--target", "reference", "--calib",
            place / "calib.npz", "--points", "5", "-o", output, "--quiet", *others]  # fmt: skip
    return command([str(word) for word in call])


@pytest.fixture(scope="module")
def drawn(place) -> Path:
    assert drawing(place, place / "front", "--measure", "--metric", "error") == 0
    return place / "front"


def facts(folder: Path) -> dict:
    return json.loads((folder / "pareto.json").read_text())


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_front_is_numbers_pictures_and_a_plan_for_each_point(drawn):
    plans = [point["plan"] for point in facts(drawn)["points"]]
    assert set(digests(drawn)) == {"pareto.json", "pareto.png", "pareto.svg", *plans}
    assert plans[0] == "plans/00.json"


def test_damage_falls_as_more_is_used(drawn):
    points = facts(drawn)["points"]
    sizes = [point["used"]["size"] for point in points]
    damages = [point["damage"] for point in points]
    assert sizes == sorted(sizes)
    assert damages == sorted(damages, reverse=True)
    assert len(points) == 5


def test_the_ends_of_the_front_are_the_fewest_bits_and_the_least_damage(drawn):
    found = facts(drawn)
    first, last = found["points"][0], found["points"][-1]
    assert first["used"]["size"] == found["uniform"]["W2A8"]["used"]["size"]
    assert last["damage"] == min(p["damage"] for p in found["uniform"].values())


def test_one_width_for_all_is_not_below_the_front(drawn):
    found = facts(drawn)
    assert list(found["uniform"]) == ["W2A8", "W3A8", "W4A8", "W6A8", "W8A8"]
    below = [
        (name, point["plan"])
        for name, uniform in found["uniform"].items()
        for point in found["points"]
        if uniform["used"]["size"] <= point["used"]["size"] and uniform["damage"] < point["damage"]
    ]
    assert below == []


def test_every_point_says_what_it_uses_of_all_resources(drawn):
    points = facts(drawn)["points"]
    assert all(set(point["used"]) >= {"size", "bops"} for point in points)
    assert all(0 <= point["drop"] < 1 for point in points)
    assert facts(drawn)["metric"] == "error"


def test_a_point_becomes_an_artifact_of_its_size_and_its_drop(place, drawn, tmp_path):
    point = facts(drawn)["points"][2]
    artifact = qcompile.compile(
        place / "small.onnx", target="reference", calib=str(place / "calib.npz"),
        plan=drawn / point["plan"], metric="error", output=tmp_path / "it",
    )  # fmt: skip
    assert artifact.summary["size"]["weight_bytes"] == point["used"]["size"]
    assert artifact.summary["quality"]["drop"]["value"] == pytest.approx(point["drop"], rel=1e-5)


def test_the_same_front_has_the_same_bytes(place, drawn):
    before = digests(drawn)
    assert drawing(place, drawn, "--measure", "--metric", "error") == 0
    assert digests(drawn) == before


def test_a_folder_with_something_else_is_left_alone(place, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert drawing(place, tmp_path) == 2
    assert "has no pareto.json" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_limits_on_other_resources_are_kept(place, tmp_path):
    assert drawing(place, tmp_path / "it", "--on", "size", "--budget", "bops=0.0004G") == 0
    assert all(p["used"]["bops"] <= 0.4e6 for p in facts(tmp_path / "it")["points"])


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (("--on", "weight"), "'weight' is not one of"),
        (("--points", "1"), "1 is not in the range"),
        (("--estimator", "guess"), "no estimator 'guess': give one of output-error"),
        (("--metric", "accuracy"), "no metric 'accuracy'"),
        (("--budget", "bops=0.1M"), "the nearest that can is bops="),
    ],
)
def test_what_cannot_be_drawn_is_refused(place, tmp_path, capsys, others, said):
    assert drawing(place, tmp_path / "front", *others) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "front").exists()
