"""--bits auto: honest sizes, plans that replay byte for byte, clear refusals."""

import json
from pathlib import Path

import numpy as np
import pytest

import qcompile
from qcompile.artifact import Artifact
from qcompile.cli.guard import run as command
from qcompile.errors import UsageError

MODELS = Path(__file__).parents[2] / "models"
RESNET20 = MODELS / "resnet20_fashion.onnx"
CALIB = str(MODELS / "resnet20_fashion_calib.npz")
BUDGET = {"size": 138_000.0}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory) -> Artifact:
    place = tmp_path_factory.mktemp("auto") / "it"
    return qcompile.compile(
        RESNET20, target="onnx-int", calib=CALIB, bits="auto", budget=BUDGET, output=place
    )


def plan(artifact: Artifact) -> dict:
    return json.loads((artifact.folder / "plan.json").read_text())


def test_the_size_is_what_the_plan_says(chosen):
    used = plan(chosen)["solver"]["limits"]["size"]["used"]
    assert chosen.summary["size"]["weight_bytes"] == used <= BUDGET["size"]


def test_layers_differ_and_the_choice_is_optimal(chosen):
    assert len({choice["widths"] for choice in plan(chosen)["choices"]}) > 1
    assert chosen.summary["bits"]["optimal"]
    assert chosen.summary["verified"]


def test_every_choice_has_its_reason(chosen):
    assert all(choice["reason"] for choice in plan(chosen)["choices"])


def test_it_beats_one_width_for_all_of_no_lesser_size(chosen, tmp_path):
    uniform = qcompile.compile(
        RESNET20, target="onnx-int", calib=CALIB, scheme="W4A8", output=tmp_path / "uniform"
    )
    assert chosen.summary["size"]["weight_bytes"] < uniform.summary["size"]["weight_bytes"]
    (mixed,) = chosen.summary["quality"]["sqnr_db"].values()
    (alike,) = uniform.summary["quality"]["sqnr_db"].values()
    assert mixed > alike


def test_the_report_has_every_choice_and_the_front(chosen):
    report = json.loads((chosen.folder / "report.json").read_text())["plan"]
    assert [c["node"] for c in report["choices"]] == [c["node"] for c in plan(chosen)["choices"]]
    assert report["estimator"] == plan(chosen)["estimator"]
    assert report["front"] == plan(chosen)["front"]


def test_the_front_falls_and_is_below_one_width_for_all(chosen):
    front = plan(chosen)["front"]
    sizes, damages = zip(*front["points"], strict=True)
    assert list(sizes) == sorted(sizes)
    assert list(damages) == sorted(damages, reverse=True)
    size, damage = front["uniform"]["W4A8"]
    assert min(d for s, d in front["points"] if s <= size) < damage


def test_the_page_shows_the_front_with_the_chosen_point(chosen):
    page = (chosen.folder / "report.html").read_text()
    assert '<circle class="taken"' in page
    assert page.count('class="dot"') == len(plan(chosen)["front"]["points"])


def test_a_plan_replays_byte_for_byte(chosen, tmp_path):
    again = qcompile.compile(
        RESNET20, target="onnx-int", calib=CALIB, plan=chosen.folder / "plan.json",
        output=tmp_path / "again",
    )  # fmt: skip
    assert again.digest == chosen.digest


def test_samples_may_come_from_a_generator(tmp_path):
    with np.load(CALIB) as data:
        rows = [{"x": row[None]} for row in data["x"][:12]]
    artifact = qcompile.compile(
        RESNET20, target="reference", calib=iter(rows), bits="auto", budget=BUDGET,
        output=tmp_path / "it",
    )  # fmt: skip
    assert artifact.summary["calibration"]["samples"] > 0


def test_one_plan_serves_every_target(chosen, tmp_path):
    native = qcompile.compile(
        RESNET20, target="x86-int8", calib=CALIB, plan=chosen.folder / "plan.json",
        output=tmp_path / "native",
    )  # fmt: skip
    graph = (native.folder / "graph.qc").read_text()
    assert graph == (chosen.folder / "graph.qc").read_text()


def test_a_gpu_takes_a_mix_of_4_and_8_bits(tmp_path):
    artifact = qcompile.compile(
        RESNET20, target="t4-int4", calib=CALIB, bits="auto", budget={"bops": 0.5e9},
        output=tmp_path / "gpu",
    )  # fmt: skip
    assert {"W4A4", "W8A8"} <= {choice["widths"] for choice in plan(artifact)["choices"]}
    assert artifact.summary["verified"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--bits", "auto"], "--budget size=8MB"),
        (["--bits", "auto", "--budget", "size=8"], "no unit"),
        (["--bits", "auto", "--budget", "weight=8MB"], "no limit weight"),
        (["--bits", "auto", "--budget", "size=1KB"], "the nearest that can is size="),
        (["--bits", "auto", "--budget", "latency=1ms"], "reference interprets"),
        (["--bits", "auto", "--budget", "ram=1KB,size=1MB"], "reference interprets"),
        (["--budget", "size=1MB"], "--bits auto"),
        (["--bits", "many"], "uniform or auto"),
        (["--plan", "nowhere.json"], "nowhere.json"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, capsys, asked, said):
    place = tmp_path / "it"
    call = [str(RESNET20), "--target", "reference", "--calib", CALIB, "-o", str(place)]
    assert command([*call, *asked]) == 2
    assert said in capsys.readouterr().err
    assert not place.exists()


def test_a_plan_of_another_model_is_refused(chosen, tmp_path):
    text = (chosen.folder / "plan.json").read_text().replace(plan(chosen)["model"], "0" * 64)
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UsageError, match="was made for the model 000000000000"):
        qcompile.compile(
            RESNET20, target="reference", calib=CALIB, plan=tmp_path / "plan.json",
            output=tmp_path / "it",
        )  # fmt: skip


def test_without_samples_nothing_can_be_measured(tmp_path):
    with pytest.raises(UsageError, match="--calib"):
        qcompile.compile(
            RESNET20, target="reference", bits="auto", budget=BUDGET, output=tmp_path / "it"
        )
