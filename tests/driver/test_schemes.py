"""Schemes end to end: what is built, what the summary and the manifest say of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qcompile
from qcompile.artifact import Artifact
from qcompile.errors import UsageError
from qcompile.ir.ops.quant import Quantize
from qcompile.ir.widths import W4A4
from qcompile.options import Options
from qcompile.passes.choose_widths import WidthRule
from qcompile.program.graph_file import read_graph
from qcompile.report import read_report
from qcompile.targets.onnx.target import ONNX_QDQ
from tests.helpers import read
from tests.passes.transforms.streams import samples, stream

MODELS = Path(__file__).parents[2] / "models"
RESNET20 = MODELS / "resnet20_fashion.onnx"
CALIB = MODELS / "resnet20_fashion_calib.npz"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return compiled(tmp_path_factory.mktemp("w4a4") / "it", scheme="W4A4")


SMALL = """
    def net(x: f32[1, 2, 6, 6]):
        w: f32[4, 2, 3, 3] = const(...)
        v: f32[4, 4, 1, 1] = const(...)
        a = conv(x, w)
        b = relu(a)
        c = conv(b, v)
        d = add(b, c)
        y = conv(d, v)
        return y
    """


def small(folder: Path, **options: Any) -> Artifact:
    """A network of three convolutions without data."""
    return qcompile.compile(read(SMALL), target="reference", output=folder, **options)


def compiled(folder: Path, target: str = "reference", **options: Any) -> Artifact:
    return qcompile.compile(RESNET20, target=target, calib=CALIB, output=folder, **options)


@pytest.mark.parametrize("scheme", ["W8A8", "W4A8", "W4A4"])
def test_the_report_says_the_scheme(tmp_path: Path, scheme: str):
    artifact = small(tmp_path / "it", scheme=scheme)
    report = read_report(artifact.folder)
    assert report["scheme"] == artifact.summary["scheme"] == scheme
    assert report["bits"] == artifact.summary["bits"]
    head = (artifact.folder / "report.html").read_text().partition(" parameters")[0]
    assert scheme in head.rpartition("<p")[2]


def test_the_summary_tells_how_much_work_has_how_many_bits(built: Artifact):
    bits = built.summary["bits"]
    assert built.summary["scheme"] == "W4A4"
    assert set(bits["histogram"]) == {"4", "8"}
    assert bits["histogram"]["4"] == bits["macs"]["W4A4"] > 0.99 * sum(bits["macs"].values())


def test_the_summary_tells_which_layers_are_exceptions(built: Artifact):
    exceptions = {e["node"]: e["why"] for e in built.summary["bits"]["exceptions"]}
    assert list(exceptions.values()) == ["it reads an input", "no contraction is behind it"]
    assert "logits" in exceptions


def test_the_manifest_names_the_widths_of_every_contraction(built: Artifact):
    widths = built.manifest["widths"]
    assert len(widths) == 22
    assert (widths["logits"], set(widths.values())) == ("W8A8", {"W8A8", "W4A4"})
    assert built.manifest["options"]["scheme"] == "W4A4"


def test_weights_of_4_bits_take_half_a_byte(built: Artifact):
    parameters = built.summary["model"]["parameters"]
    assert built.summary["size"]["weight_bytes"] < 0.53 * parameters
    assert (built.folder / "blobs.bin").stat().st_size < 0.6 * parameters


def test_a_4_bit_layer_is_named_with_the_option_that_widens_it(built: Artifact):
    worst = built.summary["quality"]["worst_layers"]
    assert "4-bit" in worst[0]["cause"]
    assert worst[0]["cure"].startswith(f"--scheme '{worst[0]['node']}=W8A8'")
    assert "--rounding gptq" in worst[0]["cure"]
    assert any("readers take it in 4 bits" in w["cause"] for w in worst)


def test_the_integers_are_near_the_reals(built: Artifact):
    assert built.summary["quality"]["sqnr_db"]["logits"] > 17
    assert built.summary["integer_only"]


def test_it_is_right_nearly_as_often_as_in_reals(built: Artifact):
    with np.load(MODELS / "resnet20_fashion_test.npz") as data:
        pictures, labels = data["x"][:200], data["label"][:200]
    runtime = built.runtime
    found = [int(runtime.run({"x": p[None]})["logits"].argmax()) for p in pictures]
    assert np.mean(np.array(found) == labels) > 0.88


def test_single_layers_keep_8_bits_on_request(tmp_path: Path):
    artifact = compiled(tmp_path / "it", scheme="W4A8", widths={"stage3*": "W8A8"})
    widths = artifact.manifest["widths"]
    kept = {name for name, one in widths.items() if one == "W8A8"}
    assert kept - {"logits", "stem.norm/BatchNormalization"} == {
        name for name in widths if name.startswith("stage3")
    }


def test_without_data_it_is_built_as_well(tmp_path: Path):
    artifact = small(tmp_path / "it", scheme="W4A8")
    assert artifact.summary["scheme"] == "W4A8"
    assert artifact.manifest["widths"] == {"a": "W8A8", "c": "W4A8", "y": "W8A8"}


def test_pairs_for_other_engines_are_held_to_the_noise_of_quantization(tmp_path: Path):
    artifact = compiled(tmp_path / "it", target="onnx-qdq", scheme="W4A4")
    noise = 10 ** (-artifact.summary["quality"]["sqnr_db"]["logits"] / 20)
    tolerance = artifact.manifest["tolerance"]
    assert tolerance == pytest.approx(max(ONNX_QDQ.tolerance, 3 * noise), abs=1e-6)


@pytest.mark.parametrize(
    ("scheme", "times"), [("W3A8-tensor", 1), ("W3A8-token", 1), ("W3A4-token", 3)]
)
def test_with_reals_between_integers_engines_are_held_to_the_noise(
    tmp_path: Path, scheme: str, times: int
):
    calib = [{"ids": ids} for (ids,) in samples(16)]
    artifact = qcompile.compile(
        stream(), target="onnx-int", calib=calib, output=tmp_path / "it", scheme=scheme
    )
    noise = 10 ** (-artifact.summary["quality"]["sqnr_db"]["logits"] / 20)
    assert artifact.manifest["tolerance"] == pytest.approx(times * noise, abs=1e-6)


def test_the_same_scheme_gives_the_same_bytes(tmp_path: Path):
    one, other = (small(tmp_path / name, scheme="W4A4") for name in ("one", "other"))
    assert one.manifest["digest"] == other.manifest["digest"]


def test_the_default_is_the_targets_own(tmp_path: Path):
    plain, said = small(tmp_path / "plain"), small(tmp_path / "said", scheme="W8A8")
    assert plain.summary["scheme"] == "W8A8"
    assert plain.summary["bits"]["histogram"] == {"8": plain.summary["coverage"]["macs_integer"]}
    assert (plain.folder / "graph.qc").read_text() == (said.folder / "graph.qc").read_text()


def test_inputs_of_4_bits_are_4_bits_at_the_border(tmp_path: Path):
    artifact = small(tmp_path / "it", widths={"op:Conv": "W4A4"})
    (entry,) = (n for n in read_graph(artifact.folder).nodes if isinstance(n, Quantize))
    assert str(entry.elem) == "u4"
    assert artifact.manifest["inputs"][0]["dtype"] == "u4"


@pytest.mark.parametrize("options", [{"scheme": "W4A32"}, {"widths": {"logits": "int4"}}])
def test_other_schemes_are_refused_before_anything_is_read(options: dict[str, Any]):
    with pytest.raises(UsageError, match="--scheme"):
        Options(target="reference", **options)


def test_an_override_of_nothing_is_refused_with_near_names(tmp_path: Path):
    with pytest.raises(UsageError, match="did you mean c"):
        small(tmp_path / "it", widths={"cc": "W8A8"})


def test_a_rule_is_data():
    assert WidthRule(W4A4).default == W4A4
    assert json.dumps(Options("reference", scheme="w4a4").identity["scheme"]) == '"W4A4"'
