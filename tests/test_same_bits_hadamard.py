"""Networks with online Hadamard transforms: the interpreter's bits on every target."""

from pathlib import Path

import numpy as np
import pytest
import torch

import qcompile
from qcompile.analysis.axes import online_sites
from qcompile.frontends.torch_export import read_torch
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.pointwise import HardSwish, Relu
from qcompile.ir.ops.reduce import ReduceMean
from qcompile.ir.ops.shape import Reshape
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import f32
from qcompile.models import llama
from qcompile.passes.online_hadamard import insert_between, insert_online
from qcompile.stages import simplify
from tests.passes.transforms.queries import attention
from tests.test_same_bits import assert_same_bits, assert_same_from_c, build

SIZES = [(48, 16), *(pytest.param(n, n, marks=pytest.mark.slow) for n in (8, 12, 64))]


def network(channels: int) -> Graph:
    """Convolutions with a shortcut, then a classifier."""
    rng = np.random.default_rng(channels)

    def weight(name: str, *shape: int) -> Const:
        fan = np.prod(shape[1:]) if len(shape) == 4 else shape[0]
        values = rng.standard_normal(shape) * np.sqrt(2 / fan)
        return const(values.astype(np.float32), name=name)

    x = Input(f32(1, 3, 7, 6), name="x")
    first = HardSwish(
        Conv(x, weight("u", channels, 3, 3, 3), pads=(1,) * 4, name="first"), name="act"
    )
    second = Conv(
        first, weight("v", channels, channels, 3, 3), pads=(1, 0, 1, 2), stride=(1, 1),
        name="second",
    )  # fmt: skip
    third = Conv(Relu(second, name="relu"), weight("w", channels, channels, 1, 1), name="third")
    both: Node = Add(second, third, name="both")
    mean = ReduceMean(both, (2, 3), name="mean")
    flat = Reshape(mean, (1, channels), name="flat")
    y = MatMul(flat, weight("z", channels, 10), name="logits")
    return Graph(f"turned{channels}", (x,), (("y", y),))


def turned(channels: int, size: int) -> Graph:
    """Every contraction but the first reads transformed values."""
    return insert_online(
        network(channels), dict.fromkeys(("second", "third", "logits"), size), seed=1
    )


@pytest.mark.parametrize(("channels", "size"), SIZES)
def test_network_with_transforms(tmp_path: Path, channels: int, size: int):
    graph = turned(channels, size)
    built = build(graph, graph, tmp_path)
    assert sum(isinstance(n, Hadamard) and n.type.is_quantized for n in built.graph.nodes) == 3
    assert_same_bits(built, count=10)


@pytest.mark.slow
def test_network_with_transforms_from_a_c_program(tmp_path: Path):
    graph = turned(16, 16)
    built = build(graph, graph, tmp_path)
    assert_same_from_c(built, count=2)


@pytest.mark.slow
def test_network_with_transforms_of_4_bits(tmp_path: Path):
    graph = turned(32, 32)
    built = build(graph, graph, tmp_path, widths={"op:Conv": "W4A4", "op:MatMul": "W4A8"})
    assert "i4[" in (built.artifacts["reference"].folder / "graph.qc").read_text()
    assert_same_bits(built, count=10)


@pytest.mark.parametrize("target", ["onnx-qdq", "onnx-int"])
def test_what_onnxruntime_gives_is_near_the_reals(tmp_path: Path, target: str):
    graph = turned(48, 16)
    rng = np.random.default_rng(1)
    calib = [{"x": rng.standard_normal((1, 3, 7, 6)).astype(np.float32)} for _ in range(8)]
    artifact = qcompile.compile(graph, target=target, calib=calib, output=tmp_path / "it")
    sample = calib[1]
    (wanted,), found = graph.run(sample["x"]), artifact.run(sample)["y"]
    assert np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()


def test_queries_and_keys_with_transforms(tmp_path: Path):
    plain = attention(outlier=20.0)
    (site,) = [s for s in online_sites(plain) if s.role == "R3"]
    graph = insert_between(plain, {site: 16}, seed=1)
    built = build(graph, graph, tmp_path)
    turned = [n for n in built.graph.nodes if isinstance(n, Hadamard) and n.type.is_quantized]
    assert [n.x.type.elem.bits for n in turned] == [16, 16]
    assert_same_bits(built, count=10)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["W8A8-tensor", "W4A8-token"])
@pytest.mark.parametrize("target", ["x86-int8", "onnx-int"])
def test_a_trained_llama_with_transforms_on_queries_and_keys(
    tmp_path: Path, target: str, scheme: str
):
    given = np.random.default_rng(0).integers(0, 128, (6, 1, 16))
    plain = simplify(read_torch(llama.trained(), inputs=(torch.from_numpy(given[0]),)))
    sites = [s for s in online_sites(plain) if s.role == "R3"]
    graph = insert_between(plain, dict.fromkeys(sites, 16), seed=1)
    calib = [{plain.inputs[0].name: row} for row in given]
    artifact = qcompile.compile(
        graph, target=target, calib=calib, scheme=scheme, output=tmp_path / "it"
    )
    assert artifact.summary["verified"]
    assert (artifact.folder / "graph.qc").read_text().count("= hadamard(") == 2 * len(sites) == 8
