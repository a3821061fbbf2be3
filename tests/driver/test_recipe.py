"""Recipes through the driver: what they chose is told, and the artifact is verified."""

import json
from pathlib import Path

import pytest

import qcompile
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.ops.source import Const, const
from qcompile.ir.rewrite import rewrite
from qcompile.options import Options
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.invariants import STATIC
from qcompile.passes.pipeline import Pipeline
from qcompile.passes.transforms.equality import Runs
from qcompile.progress import silent
from qcompile.transformed import Checked
from tests.passes.transforms.streams import samples, stream


def compiled(folder: Path, **options: object) -> qcompile.Artifact:
    given = {"ids": [s[0] for s in samples(24)]}
    calib = [{"ids": x} for x in given["ids"]]
    return qcompile.compile(
        stream(), target="reference", calib=calib, output=folder, scheme="W4A4-token", **options
    )


def sites(artifact: qcompile.Artifact) -> list[dict]:
    report = json.loads((artifact.folder / "report.json").read_text())
    return report["transforms"]["sites"]


def test_the_report_tells_what_was_chosen_at_each_site(tmp_path: Path):
    told = sites(compiled(tmp_path / "one", recipe="best"))
    (stream_site,) = [site for site in told if site["role"] == "R1"]
    assert stream_site["by"] == "rotate"
    assert stream_site["after"] < stream_site["before"]


def test_a_recipe_gains_where_channels_are_far_out(tmp_path: Path):
    plain, best = compiled(tmp_path / "a"), compiled(tmp_path / "b", recipe="best")
    before, after = (a.summary["quality"]["sqnr_db"]["logits"] for a in (plain, best))
    assert after > before + 2


def test_the_same_recipe_gives_the_same_bytes(tmp_path: Path):
    one, two = (compiled(tmp_path / name, recipe="rotate") for name in ("a", "b"))
    assert one.summary["digest"] == two.summary["digest"]


def test_a_recipe_is_part_of_what_the_artifact_says_of_itself(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("passes: [simplify, smooth: {alpha: 0.5}]")
    said = compiled(tmp_path / "a", recipe=str(path)).manifest["options"]["recipe"]
    assert said == {"passes": [["simplify", {}], ["smooth", {"alpha": 0.5}]]}


def test_a_recipe_without_samples_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="give samples with --calib"):
        qcompile.compile(stream(), target="reference", output=tmp_path / "a", recipe="best")


def test_a_recipe_that_leaves_batchnorms_is_refused(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("passes: [canonicalize]")
    with pytest.raises(UsageError, match="it needs the pass simplify"):
        compiled(tmp_path / "a", recipe=str(path))


def test_what_a_recipe_says_holds_where_nothing_else_is_given(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("scheme: W4A8\nmethod: mse\nexclude: [head]")
    settled = Options("reference", recipe=str(path), method="minmax").settled
    assert (settled.scheme, settled.method, settled.exclude) == ("W4A8", "minmax", ("head",))


class Doubled(Pass):
    """A pass that does not keep the function."""

    name = "doubled"
    keeps = Meaning.CLOSELY

    def run(self, graph: Graph) -> Graph:
        def double(node, _):
            return const(node.array * 2, name=node.name) if isinstance(node, Const) else None

        return rewrite(graph, double)


def test_a_pass_that_moves_the_outputs_is_taken_back_and_told():
    graph, notes = stream(), []
    check = Checked(Runs(samples(1)), notes.append, silent)
    after = Pipeline((Doubled(),), frozenset({STATIC})).run(graph, accept=check.accept)
    assert after is graph
    assert notes[0].reason.startswith("taken back: outputs moved by")
