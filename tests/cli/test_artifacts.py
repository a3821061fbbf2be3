"""Compile, run, verify, report: what an artifact holds and what its verbs answer."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from qcompile.ir.graph import Graph
from qcompile.read import load


def arrays(path) -> dict[str, np.ndarray]:
    with np.load(path) as data:
        return {name: data[name] for name in data.files}


def digest(folder) -> str:
    return json.loads((Path(folder) / "manifest.json").read_text())["digest"]


def flipped(built: Path, copy: Path, name: str, offset: int) -> Path:
    """The artifact with one bit of one file turned."""
    shutil.copytree(built, copy)
    data = bytearray((copy / name).read_bytes())
    data[offset] ^= 0x40
    (copy / name).write_bytes(data)
    return copy


def test_the_summary_has_the_stable_keys(qcompile, model, calib):
    ended = qcompile(model, "--target", "reference", "--calib", calib, "-o", "out", "--json")
    summary = json.loads(ended.out)
    assert {name: set(part) for name, part in summary.items() if isinstance(part, dict)} == {
        "model": {"path", "sha256", "parameters", "macs"},
        "calibration": {"source", "samples", "remark"},
        "coverage": {"ops_integer", "ops_total", "macs_integer", "macs_total", "float_islands"},
        "size": {"float_bytes", "weight_bytes", "artifact_bytes", "activation_peak_bytes"},
        "quality": {"sqnr_db", "worst_layers", "drop"},
        "bits": {"histogram", "macs", "exceptions", "objective", "optimal"},
        "transforms": {"bound", "sites"},
        "latency": {"predicted_ms", "interpolated", "measured_ms", "device"},
    }
    assert {
        "target", "scheme", "integer_only", "verified", "digest", "artifact", "passes", "seconds",
        "peak_rss_bytes",
    } <= set(summary)  # fmt: skip
    assert summary["verified"] is True
    assert list(summary["quality"]["sqnr_db"]) == ["y"]
    assert set(summary["passes"][0]) == {"name", "seconds", "changed"}
    assert set(summary["quality"]["worst_layers"][0]) >= {"node", "sqnr_db", "cause", "cure"}


def test_progress_in_a_pipe_is_lines_on_stderr(qcompile, model, calib):
    ended = qcompile(model, "--target", "reference", "--calib", calib, "-o", "out")
    assert "calibrating on samples: 8\n" in ended.err
    assert ended.out.startswith("model ")


def test_quiet_says_nothing(qcompile, model):
    ended = qcompile(model, "--target", "reference", "-o", "out", "--quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_the_default_folder_is_named_after_model_and_target(qcompile, model):
    qcompile(model, "--target", "reference", "--quiet")
    assert Path("small-reference/manifest.json").is_file()


def test_what_a_model_prints_does_not_reach_stdout(qcompile, monkeypatch, model):
    def loud(*arguments, **options) -> Graph:
        print("hello from the model")
        return load(*arguments, **options)

    monkeypatch.setattr("qcompile.bound.load", loud)
    ended = qcompile(model, "--target", "reference", "-o", "out", "--json")
    assert json.loads(ended.out)["verified"] is True
    assert "hello from the model" in ended.err


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_input_gives_the_same_digest(qcompile, model, calib, built, threads):
    qcompile(
        model, "--target", "reference", "--calib", calib, "-o", "out", "--threads", threads,
    )  # fmt: skip
    assert digest("out") == digest(built)


def test_compiling_without_samples_is_repeatable(qcompile, model):
    qcompile(model, "--target", "reference", "-o", "one")
    qcompile(model, "--target", "reference", "-o", "two", "--threads", 2)
    assert digest("one") == digest("two")


def test_another_method_gives_another_artifact(qcompile, model, calib, built):
    qcompile(
        model, "--target", "reference", "--calib", calib, "-o", "out", "--method", "minmax",
    )  # fmt: skip
    assert digest("out") != digest(built)


def test_check_compares_both_sides_of_every_pass(qcompile, model, calib):
    ended = qcompile(model, "--target", "reference", "--calib", calib, "-o", "out", "--check")
    assert ended.code == 0


def test_dump_after_each_writes_the_graphs(qcompile, model):
    qcompile(model, "--target", "reference", "-o", "out", "--dump-after-each", "dumps")
    assert "quantize" in " ".join(path.name for path in Path("dumps").iterdir())


def test_run_stacks_results_as_the_samples_are(qcompile, built, calib):
    assert qcompile("run", built, "--input", calib, "-o", "y.npz").code == 0
    y = arrays("y.npz")["y"]
    assert (y.shape, y.dtype) == ((9, 4), np.float32)


def test_run_by_the_interpreter_gives_the_same_bits(qcompile, built, calib):
    qcompile("run", built, "--input", calib, "-o", "own.npz")
    qcompile("run", built, "--input", calib, "-o", "reference.npz", "--reference")
    assert Path("own.npz").read_bytes() == Path("reference.npz").read_bytes()


def test_run_raw_gives_integers(qcompile, built, calib):
    qcompile("run", built, "--input", calib, "-o", "y.npz", "--raw")
    assert arrays("y.npz")["y"].dtype.kind == "i"


def test_run_checks_its_samples(qcompile, built, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 3, 9, 9), np.float32))
    ended = qcompile("run", built, "--input", tmp_path / "x.npz", "-o", "y.npz")
    assert ended.refused("'x'", "3, 8, 8")
    assert not Path("y.npz").exists()


def test_run_wants_samples_that_exist(qcompile, built):
    assert qcompile("run", built, "--input", "no.npz", "-o", "y.npz").refused("no.npz")


def test_verify_answers_good(qcompile, built):
    ended = qcompile("verify", built, "--json")
    assert json.loads(ended.out)["digest"] == digest(built)


def test_verify_names_the_element_that_a_turned_bit_changes(qcompile, built, tmp_path):
    index = json.loads((built / "blobs.json").read_text())
    (weight,) = [e["offset"] for e in index.values() if e["shape"] == [6, 3, 3, 3]]
    ended = qcompile("verify", flipped(built, tmp_path / "bad", "blobs.bin", weight))
    assert ended.code == 3
    assert "output y[0, 0]: " in ended.message
    assert "blobs.bin differs" in ended.message


@pytest.mark.skipif(shutil.which("cc") is None, reason="x86-int8 needs a C compiler")
def test_verify_names_the_element_that_a_turned_weight_of_the_library_changes(
    qcompile, model, calib, tmp_path
):
    qcompile(model, "--target", "x86-int8", "--calib", calib, "-o", tmp_path / "good")
    ended = qcompile("verify", flipped(tmp_path / "good", tmp_path / "bad", "weights.bin", 0))
    assert ended.code == 3
    assert "golden vector 0" in ended.message
    assert "weights.bin differs" in ended.message


@pytest.mark.parametrize("name", ["graph.qc", "golden/outputs.npz", "report.json"])
def test_verify_names_a_damaged_file(qcompile, built, tmp_path, name):
    ended = qcompile("verify", flipped(built, tmp_path / "bad", name, 100))
    assert (ended.code, f"{name} differs" in ended.message) == (3, True)


def test_verify_sees_a_changed_manifest(qcompile, built, tmp_path):
    shutil.copytree(built, tmp_path / "bad")
    path = tmp_path / "bad" / "manifest.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    ended = qcompile("verify", tmp_path / "bad")
    assert (ended.code, "manifest.json differs" in ended.message) == (3, True)


def test_verify_of_no_artifact_is_the_users_fault(qcompile, tmp_path):
    assert qcompile("verify", tmp_path).refused("is no artifact")


def test_an_error_under_json_is_an_object_too(qcompile, tmp_path):
    ended = qcompile("verify", tmp_path, "--json")
    assert json.loads(ended.out)["error"]["exit_code"] == ended.code == 2


def test_the_report_stands_alone(qcompile, built):
    path = Path(qcompile("report", built).out.strip())
    page = path.read_text()
    assert "small → reference" in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_report_names_layers_and_ranges(qcompile, built):
    facts = json.loads(qcompile("report", built, "--json").out)
    assert "r" in {layer["node"] for layer in facts["quality"]["layers"]}
    assert sum(facts["ranges"][0]["histogram"]["counts"]) > 0


def test_the_report_can_be_rendered_again(qcompile, built):
    qcompile("report", built, "-o", "again.html")
    assert Path("again.html").read_bytes() == (built / "report.html").read_bytes()


def test_run_of_a_damaged_artifact_names_the_file(qcompile, built, calib, tmp_path):
    shutil.copytree(built, tmp_path / "bad")
    (tmp_path / "bad" / "blobs.bin").write_bytes(b"")
    ended = qcompile("run", tmp_path / "bad", "--input", calib, "-o", "y.npz")
    assert ended.refused("blobs.bin")


def test_verify_survives_a_program_that_crashes(qcompile, built, tmp_path, monkeypatch):
    monkeypatch.setattr("qcompile.check.subprocess.run", crashed)
    ended = qcompile("verify", flipped(built, tmp_path / "bad", "blobs.bin", 0))
    assert (ended.code, "crashes (signal 11)" in ended.message) == (3, True)


def crashed(command: list[str], **options: object) -> subprocess.CompletedProcess:
    return subprocess.CompletedProcess(command, -11, "", "")
