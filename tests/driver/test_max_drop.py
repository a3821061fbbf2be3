"""--max-drop: the cheapest widths that lose no more, measured by an outside runtime."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import qcompile
from qcompile.artifact import Artifact
from qcompile.cli.guard import run as command
from qcompile.drop import Judge
from qcompile.errors import UsageError
from tests.cli.conftest import network

BOUND = 0.05


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A model, its samples, and a cache of its own."""
    folder = tmp_path_factory.mktemp("drop")
    onnx.save(network(), folder / "small.onnx")
    samples = np.random.default_rng(1).standard_normal((40, 3, 8, 8), np.float32)
    np.savez(folder / "calib.npz", x=samples)
    return folder


@pytest.fixture(autouse=True)
def own_cache(place, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))


def compiled(place: Path, output: Path, **options) -> Artifact:
    calib = str(place / "calib.npz")
    return qcompile.compile(
        place / "small.onnx", target="reference", calib=calib, output=output, **options
    )


@pytest.fixture
def chosen(place, tmp_path) -> Artifact:
    return compiled(place, tmp_path / "it", max_drop=BOUND, metric="error")


def both(place: Path, artifact: Artifact) -> tuple[np.ndarray, np.ndarray]:
    """The model's outputs by onnxruntime, the artifact's by its own."""
    session = onnxruntime.InferenceSession(place / "small.onnx")
    with np.load(place / "calib.npz") as data:
        rows = [row[None] for row in data["x"]]
    real = [np.asarray(session.run(None, {"x": row})[0]) for row in rows]
    found = [artifact.run({"x": row})["y"] for row in rows]
    return np.concatenate(real), np.concatenate(found)


def test_no_more_is_lost_than_allowed(place, chosen):
    real, found = both(place, chosen)
    lost = np.linalg.norm(found - real) / np.linalg.norm(real)
    assert lost <= BOUND
    assert chosen.summary["quality"]["drop"] == {
        "metric": "error", "value": pytest.approx(lost, rel=1e-3), "bound": BOUND, "samples": 40,
    }  # fmt: skip


def test_manifest_and_report_say_the_same(chosen):
    drop = chosen.summary["quality"]["drop"]
    report = json.loads((chosen.folder / "report.json").read_text())
    assert chosen.manifest["drop"] == report["quality"]["drop"] == drop
    assert "lost by error on 40 samples, 5 % allowed" in (chosen.folder / "report.html").read_text()


def test_less_may_be_used_where_more_may_be_lost(place, chosen, tmp_path):
    loose = compiled(place, tmp_path / "loose", max_drop=0.3, metric="error")
    whole = compiled(place, tmp_path / "whole", scheme="W8A8")
    small, middle, large = (a.summary["size"]["weight_bytes"] for a in (loose, chosen, whole))
    assert small < middle < large


def test_a_classifier_is_judged_by_its_greatest_score(place, tmp_path):
    artifact = compiled(place, tmp_path / "it", max_drop=0.1)
    real, found = both(place, artifact)
    moved = float(np.mean(real.argmax(1) != found.argmax(1)))
    drop = artifact.summary["quality"]["drop"]
    assert (drop["metric"], drop["value"]) == ("top1", moved)
    assert moved <= 0.1


def test_a_function_may_judge(place, tmp_path):
    def largest(real, found):
        return max(float(np.abs(a["y"] - b["y"]).max()) for a, b in zip(real, found, strict=True))

    artifact = compiled(place, tmp_path / "it", max_drop=0.2, metric=largest)
    real, found = both(place, artifact)
    assert artifact.summary["quality"]["drop"]["value"] == pytest.approx(
        np.abs(real - found).max(), rel=1e-4
    )


def test_a_metric_without_a_bound_is_only_told(place, tmp_path):
    artifact = compiled(place, tmp_path / "it", metric="error")
    real, found = both(place, artifact)
    lost = np.linalg.norm(found - real) / np.linalg.norm(real)
    assert artifact.summary["quality"]["drop"] == {
        "metric": "error", "value": pytest.approx(lost, rel=1e-3), "bound": None, "samples": 40,
    }  # fmt: skip


def test_what_was_measured_is_not_measured_again(place, chosen, tmp_path, monkeypatch):
    monkeypatch.setattr(Judge, "_measured", None)
    again = compiled(place, tmp_path / "again", max_drop=BOUND, metric="error")
    assert again.digest == chosen.digest


def test_the_least_that_can_be_lost_is_named(place, tmp_path):
    with pytest.raises(UsageError, match=r"the least that can be lost is 0\.\d+%, more than 0%"):
        compiled(place, tmp_path / "it", max_drop=0.0, metric="error")
    assert not (tmp_path / "it").exists()


def test_a_budget_that_allows_too_little_says_so(place, tmp_path):
    with pytest.raises(UsageError, match="or a larger budget"):
        compiled(place, tmp_path / "it", max_drop=0.01, metric="error", budget={"size": 100.0})


def test_a_plan_that_loses_too_much_ends_with_3(place, chosen, tmp_path, capsys):
    text = (chosen.folder / "plan.json").read_text()
    plan = json.loads(text)
    for choice in plan["choices"]:
        choice["widths"] = "W2A8"
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    call = [place / "small.onnx", "--target", "reference", "--calib", place / "calib.npz",
            "--plan", tmp_path / "plan.json", "-o", tmp_path / "worse", "--quiet",
            "--metric", "error", "--max-drop", "5%"]  # fmt: skip
    assert command([str(word) for word in call]) == 3
    said = capsys.readouterr().err
    assert "more than the 5.00% of --max-drop" in said
    assert "worst are" in said
    assert (tmp_path / "worse" / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("last", "kind"),
    [("Softmax", TensorProto.FLOAT), ("Sigmoid", TensorProto.FLOAT), ("ArgMax", TensorProto.INT64)],
)
def test_scores_are_judged_before_what_ends_them(place, chosen, tmp_path, last, kind):
    model = network()
    model.graph.node.append(helper.make_node(last, ["y"], ["z"], name="last"))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("z", kind, None))
    onnx.save(model, tmp_path / "ended.onnx")
    artifact = qcompile.compile(
        tmp_path / "ended.onnx", target="reference", calib=str(place / "calib.npz"),
        max_drop=BOUND, metric="error", output=tmp_path / "ended",
    )  # fmt: skip
    drop, before = artifact.summary["quality"]["drop"], chosen.summary["quality"]["drop"]
    assert drop["value"] == pytest.approx(before["value"], rel=0.5)
    assert 0 < drop["value"] <= BOUND
