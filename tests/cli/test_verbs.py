"""Verbs that tell about models, targets, passes and the machine."""

import json
import subprocess
import sys
import time

import pytest

from qcompile.cli import arguments
from qcompile.errors import UsageError


def facts(ended) -> dict:
    assert ended.code == 0
    return json.loads(ended.out)


def test_help_shows_the_options_and_the_verbs(qcompile):
    said = qcompile("--help").out
    assert "--calib" in said
    assert "inspect" in said


def test_no_arguments_show_help(qcompile):
    assert "--target" in qcompile().out


def test_help_does_not_import_numpy():
    code = "import sys; from qcompile.cli.guard import run; run(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "onnx", "torch", "rich"} & set(done.stdout.split())


def test_inspect_counts_operations(qcompile, model):
    found = facts(qcompile("inspect", model, "--json"))
    assert found["inputs"] == [{"name": "x", "dtype": "f32", "shape": [1, 3, 8, 8]}]
    assert {one["op"]: one["count"] for one in found["ops"]}["conv"] == 1
    assert found["macs"] == 6 * 27 * 64 + 6 * 4
    assert found["parameters"] == 6 * 27 + 6 + 6 * 4


def test_inspect_says_what_each_target_could_take(qcompile, model):
    found = facts(qcompile("inspect", model, "--json"))
    shares = {one["name"]: one["ops_integer"] for one in found["targets"]}
    assert shares["reference"] == found["operations"]


def test_inspect_prints_a_table(qcompile, model):
    assert "integer form" in qcompile("inspect", model).out


def test_targets_say_what_is_native(qcompile):
    found = {one["name"]: one for one in facts(qcompile("targets", "--json"))["targets"]}
    assert found["reference"]["state"] == "ready"
    assert found["l4-fp8"]["state"] == "not yet"
    assert "absent" in found["t4-int4"]["instructions"].values()
    assert "native" in " ".join(found["reference"]["instructions"].values())


def test_targets_print_a_table(qcompile):
    assert "reference" in qcompile("targets").out


def test_passes_say_what_they_keep(qcompile):
    found = {one["name"]: one for one in facts(qcompile("passes", "--json"))["passes"]}
    assert found["fold-batchnorm"]["gives"] == ["fused"]
    assert "fold-batchnorm" in qcompile("passes").out


def test_the_recipe_can_be_shown(qcompile, model):
    ended = qcompile(model, "--target", "reference", "--recipe", "show")
    assert "  - fold-batchnorm" in ended.out.splitlines()


def test_explain_shows_where_a_pass_fired(qcompile, model):
    found = facts(qcompile("explain", model, "--pass", "quantize", "--json"))
    assert found["turns"][0]["fired"] != []


def test_explain_shows_where_a_pass_did_not_fire(qcompile, model):
    found = facts(qcompile("explain", model, "--pass", "canonicalize", "--json"))
    assert [one["node"] for one in found["turns"][-1]["idle"]] != []


def test_explain_suggests_near_passes(qcompile, model):
    assert qcompile("explain", model, "--pass", "fold-bn").refused("fold-b")


def test_doctor_finds_numpy(qcompile):
    found = {one["name"]: one for one in facts(qcompile("doctor", "--json"))["pieces"]}
    assert found["numpy"]["found"] != ""
    assert "numpy" in qcompile("doctor").out


def test_profile_names_the_device_that_is_missing(qcompile):
    assert qcompile("profile", "--target", "h100-int8").refused("no device", "NVIDIA H100")


def test_bench_runs_the_artifact(qcompile, built):
    found = facts(qcompile("bench", built, "--rounds", 1, "--threads", 1, "--json"))
    (row,) = found["results"]
    assert (row["contender"], row["ratio"]) == ("artifact", 1.0)


def test_our_own_bug_leaves_a_repro(qcompile, model, monkeypatch, tmp_path):
    def broken(*arguments: object) -> None:
        raise KeyError("planted")

    monkeypatch.setattr("qcompile.driver.coverage", broken)
    ended = qcompile(model, "--target", "reference", "-o", "out", "--quiet")
    assert (ended.code, "Traceback" in ended.err, "repro written to" in ended.message) == (
        1,
        True,
        True,
    )
    (repro,) = (tmp_path / "here").glob("qcompile-repro-*.txt")
    assert "def small(x: f32[1, 3, 8, 8])" in repro.read_text()


def test_ctrl_c_ends_with_130_and_leaves_nothing(qcompile, model, monkeypatch, tmp_path):
    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("qcompile.driver.write_golden", stopped)
    ended = qcompile(model, "--target", "reference", "-o", "out", "--quiet")
    assert (ended.code, ended.err.strip()) == (130, "stopped")
    assert list((tmp_path / "here").iterdir()) == []


def test_a_broken_pipe_is_quiet(model):
    command = f"{sys.executable} -m qcompile inspect {model} | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert done.stderr == b""


def test_input_shapes_are_read():
    found = arguments.input_shapes(["x=1x3x8x8", "a:0=2"])
    assert found == {"x": (1, 3, 8, 8), "a:0": (2,)}


def test_an_input_is_bound_once():
    with pytest.raises(UsageError, match="twice"):
        arguments.input_shapes(["x=1", "x=2"])


def test_help_is_quick():
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "qcompile", "--help"], capture_output=True, check=True)
    assert time.perf_counter() - start < 2.0
