"""One integer program, everywhere: 0 elements differ between interpreter, onnxruntime, C and CUDA.

The CUDA kernels run on the emulator where there is no GPU.

The full run takes models by environment variable: QCOMPILE_MODELS is a folder with any of
mobilenet_fashion.onnx, unet_fashion.onnx and efficientnet_lite0.onnx.
"""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import qcompile
from qcompile.artifact import Artifact
from qcompile.cli.guard import run as command
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.quant import Quantize
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import Array
from qcompile.program.graph_file import read_graph
from qcompile.targets.onnx.program import OnnxProgram
from qcompile.targets.onnx.target import OnnxRuntime
from tests.strategies import random_graph

ROOT = Path(__file__).parents[1]
RESNET20 = ROOT / "models" / "resnet20_fashion.onnx"
TARGETS = ("reference", "onnx-int", "x86-int8", "t4-int8", "a100-int8")
Sample = dict[str, Array]
EIGHT: Mapping[str, str] = {}


@dataclass(frozen=True)
class Built:
    """One model, compiled for every exact target, and where."""

    folder: Path
    artifacts: Mapping[str, Artifact]

    @property
    def graph(self) -> Graph:
        """The integer program."""
        return read_graph(self.artifacts["reference"].folder)

    def runtimes(self) -> dict[str, Any]:
        """All runtimes; onnxruntime with graph rewrites and without, C with one thread and two."""
        onnx, native = self.artifacts["onnx-int"], self.artifacts["x86-int8"]
        places = onnx.manifest["onnx"]
        plain = OnnxProgram(onnx.folder / "model.onnx", optimize=False)
        return {
            "onnx-int": onnx.runtime,
            "onnx-int, no rewrites": OnnxRuntime(plain, places["layers"], places["raw"]),
            "x86-int8": native.runtime,
            "x86-int8, two threads": Artifact(native.folder, native.manifest, 2).runtime,
            "t4-int8": self.artifacts["t4-int8"].runtime,
            "a100-int8": self.artifacts["a100-int8"].runtime,
        }


def build(
    model: Path | Graph, graph: Graph, folder: Path, *, widths: Mapping[str, str] = EIGHT
) -> Built:
    calib = inputs_of(graph, count=6, seed=1)
    artifacts = {
        name: qcompile.compile(model, target=name, calib=calib, output=folder / name, widths=widths)
        for name in TARGETS
    }
    return Built(folder, artifacts)


def inputs_of(graph: Graph, *, count: int, seed: int) -> list[Sample]:
    """Normal noise, wider and wider; then what saturates every edge."""
    rng = np.random.default_rng(seed)
    return [{node.name: noise(node, rng, i) for node in graph.inputs} for i in range(count)]


def noise(node: Input, rng: np.random.Generator, index: int) -> Array:
    spread = (0.3, 1.0, 1.0, 3.0, 30.0)[index % 5]
    return (spread * rng.standard_normal(static(node.type.shape))).astype(np.float32)


def differing(built: Built, samples: Sequence[Sample]) -> dict[str, int]:
    """For each runtime: how many elements, raw or real, are not the interpreter's."""
    interpreter = built.artifacts["reference"].runtime
    raw = [interpreter.run_raw(sample) for sample in samples]
    real = [interpreter.run(sample) for sample in samples]
    return {
        name: sum(
            unequal(a, runtime.run_raw(sample)) + unequal(b, runtime.run(sample))
            for sample, a, b in zip(samples, raw, real, strict=True)
        )
        for name, runtime in built.runtimes().items()
    }


def unequal(wanted: Mapping[str, Array], found: Mapping[str, Array]) -> int:
    assert wanted.keys() == found.keys()
    return sum(unequal_elements(array, found[name]) for name, array in wanted.items())


def unequal_elements(wanted: Array, found: Array) -> int:
    assert (wanted.shape, wanted.dtype) == (found.shape, found.dtype)
    bits = f"u{wanted.dtype.itemsize}"
    return int(np.count_nonzero(wanted.view(bits) != found.view(bits)))


def assert_same_bits(built: Built, *, count: int) -> None:
    samples = inputs_of(built.graph, count=count, seed=2)
    assert set(differing(built, samples).values()) == {0}


def said_by_c(built: Built, samples: Sequence[Sample]) -> list[list[bytes]]:
    """All outputs as integers, as the shipped main.c writes them."""
    folder = built.artifacts["x86-int8"].folder
    program = built.folder / "main"
    subprocess.run(
        ["cc", "-O2", str(folder / "main.c"), "-ldl", "-o", str(program)],
        check=True, capture_output=True,
    )  # fmt: skip
    return [written(program, folder, files(built, sample)) for sample in samples]


def files(built: Built, sample: Sample) -> list[Path]:
    """The sample's integers, one file for each input."""
    graph, paths = built.graph, list[Path]()
    for node in graph.inputs:
        (entry,) = {user for user in graph.users[node] if isinstance(user, Quantize)}
        paths.append(built.folder / f"{node.name}.raw")
        paths[-1].write_bytes(np.ascontiguousarray(entry.evaluate(sample[node.name])).tobytes())
    return paths


def written(program: Path, folder: Path, inputs: Sequence[Path]) -> list[bytes]:
    subprocess.run(
        [str(program), "-i", "-o", "-w", str(folder / "model.so"), str(folder), *map(str, inputs)],
        check=True, capture_output=True, cwd=program.parent,
    )  # fmt: skip
    count = len(list(program.parent.glob("output*.raw")))
    return [(program.parent / f"output{i}.raw").read_bytes() for i in range(count)]


def said_by_interpreter(built: Built, samples: Sequence[Sample]) -> list[list[bytes]]:
    runtime = built.artifacts["reference"].runtime
    return [[array.tobytes() for array in runtime.run_raw(s).values()] for s in samples]


def assert_same_from_c(built: Built, *, count: int) -> None:
    samples = inputs_of(built.graph, count=count, seed=3)
    assert said_by_c(built, samples) == said_by_interpreter(built, samples)


def ops(graph: Graph) -> set[str]:
    """The operations of a graph as patterns name them."""
    kinds = {"op:Conv": Conv, "op:ConvTranspose": ConvTranspose, "op:MatMul": MatMul}
    return {name for name, kind in kinds.items() if any(isinstance(n, kind) for n in graph.nodes)}


def built_network(seed: int, folder: Path) -> Built:
    graph = random_graph(seed)
    return build(graph, graph, folder)


@pytest.fixture(scope="module")
def resnet20(tmp_path_factory) -> Built:
    graph = qcompile.load(RESNET20)
    return build(RESNET20, graph, tmp_path_factory.mktemp("resnet20"))


def test_resnet20(resnet20):
    assert_same_bits(resnet20, count=10)


def test_resnet20_from_a_c_program(resnet20):
    assert_same_from_c(resnet20, count=3)


@pytest.mark.parametrize("seed", [3, 7])
def test_random_network(tmp_path, seed):
    built = built_network(seed, tmp_path)
    assert_same_bits(built, count=10)
    assert_same_from_c(built, count=1)


MIXED = {"op:Conv": "W4A4", "op:ConvTranspose": "W4A4", "op:MatMul": "W4A8"}


@pytest.mark.parametrize("seed", [3, 7])
def test_random_network_of_4_bits(tmp_path, seed):
    graph = random_graph(seed)
    built = build(
        graph, graph, tmp_path, widths={p: w for p, w in MIXED.items() if p in ops(graph)}
    )
    assert "i4[" in (built.artifacts["reference"].folder / "graph.qc").read_text()
    assert_same_bits(built, count=10)
    assert_same_from_c(built, count=1)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["W4A4", "W4A8"])
def test_resnet20_of_4_bits_on_many_inputs(tmp_path, scheme):
    inner = {"stage*": scheme}
    built = build(RESNET20, qcompile.load(RESNET20), tmp_path, widths=inner)
    assert_same_bits(built, count=100)
    assert_same_from_c(built, count=20)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_random_network_of_4_bits_on_many_inputs(tmp_path, seed):
    graph = random_graph(seed)
    built = build(
        graph, graph, tmp_path, widths={p: w for p, w in MIXED.items() if p in ops(graph)}
    )
    assert_same_bits(built, count=100)


@pytest.mark.slow
def test_resnet20_on_many_inputs(resnet20):
    assert_same_bits(resnet20, count=200)
    assert_same_from_c(resnet20, count=100)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_random_network_on_many_inputs(tmp_path, seed):
    built = built_network(seed, tmp_path)
    assert_same_bits(built, count=150)
    assert_same_from_c(built, count=20)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_fashion", "unet_fashion", "efficientnet_lite0"])
def test_trained_network_on_many_inputs(tmp_path, name):
    path = Path(os.environ.get("QCOMPILE_MODELS", ".")) / f"{name}.onnx"
    if not path.is_file():
        pytest.skip(f"QCOMPILE_MODELS names no folder with {path.name}")
    built = build(path, qcompile.load(path), tmp_path)
    assert_same_bits(built, count=100)
    assert_same_from_c(built, count=10)


def first_weight(artifact: Artifact) -> tuple[Path, bytes]:
    """The first convolution's weight as the target stores it, and the file that it is in."""
    path = artifact.folder / "model.onnx"
    if not path.exists():
        nodes = read_graph(artifact.folder).nodes
        weight = next(n.w for n in nodes if isinstance(n, Conv) and isinstance(n.w, Const))
        return artifact.folder / "blobs.bin", np.ascontiguousarray(weight.array).tobytes()
    graph = onnx.load(path).graph
    conv = next(node for node in graph.node if node.op_type == "ConvInteger")
    (stored,) = (t for t in graph.initializer if t.name == conv.input[1])
    return path, numpy_helper.to_array(stored).tobytes()


def flip_weight(artifact: Artifact) -> None:
    """One bit of a byte in the middle of one weight."""
    path, weight = first_weight(artifact)
    data = bytearray(path.read_bytes())
    data[data.index(weight) + len(weight) // 2] ^= 0x40
    path.write_bytes(data)


@pytest.mark.parametrize("target", ["reference", "onnx-int"])
def test_a_flipped_weight_is_found_and_named(tmp_path, capsys, target):
    calib = str(ROOT / "models" / "resnet20_fashion_calib.npz")
    artifact = qcompile.compile(RESNET20, target=target, calib=calib, output=tmp_path / "it")
    flip_weight(artifact)
    assert command(["verify", str(artifact.folder)]) == 3
    assert re.search(r"output logits\[0, \d\]: -?\d+, must be -?\d+", capsys.readouterr().err)
