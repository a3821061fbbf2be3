"""Operators of an artifact on the interpreter's operands: equal, and found where they are not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from qcompile.artifact import Artifact, open_artifact
from qcompile.check import verify
from qcompile.driver import compile_model
from qcompile.golden import compare_golden
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul, Sub
from qcompile.ir.ops.norm import RmsNorm
from qcompile.ir.ops.pointwise import Neg
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.source import Input
from qcompile.ir.types import F32, I8, TensorType
from qcompile.ir.unit import per_tensor
from qcompile.lockstep import Agreement, cut_edges, lockstep, sources
from qcompile.models.llama import Shape
from qcompile.models.llama_shape import llama_graph
from qcompile.options import Options
from qcompile.program.graph_file import read_graph
from qcompile.targets.base import Computing, InParts
from qcompile.targets.onnx.program import OnnxProgram
from qcompile.targets.onnx.target import OnnxRuntime

INTEGERS = 10 + 10 + 9  # products, what takes them back to reals, what rounds their operands
SHAPE = Shape(1, 64, 4, 2, 96, 50, 8, tied=False)


@pytest.fixture(scope="module")
def tokens() -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(3)
    return [{"tokens": rng.integers(0, SHAPE.vocabulary, (1, 8))} for _ in range(9)]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory, tokens) -> Artifact:
    folder = tmp_path_factory.mktemp("llama") / "it"
    options = Options("onnx-int", tokens, output=folder, scheme="W4A8-g16-token")
    return compile_model(llama_graph(SHAPE, 8), options)


@pytest.fixture(scope="module")
def graph(artifact: Artifact) -> Graph:
    return read_graph(artifact.folder)


def agreement(artifact: Artifact, graph: Graph, tokens, **how) -> Agreement:
    samples = [[sample["tokens"]] for sample in tokens[:2]]
    assert isinstance(artifact.runtime, InParts)
    return lockstep(graph, artifact.runtime, samples, **how)


def test_every_operator_of_a_llama_agrees(artifact, graph, tokens):
    found = agreement(artifact, graph, tokens)
    assert found.differences == ()
    assert found.integers == INTEGERS
    assert found.reals > INTEGERS
    assert 0 < found.farthest < 1e-6


def test_the_summary_says_what_was_compared(artifact):
    proof = artifact.summary["proof"]
    assert proof.startswith(f"{INTEGERS} integer operators on equal operands, 0 differences; ")
    assert "allowed" in proof


def test_verifying_again_compares_operators_again(artifact):
    found = verify(open_artifact(artifact.folder))
    assert found.operators is not None
    assert found.operators.integers == INTEGERS


def test_small_parts_find_the_same_as_large_ones(artifact, graph, tokens):
    assert agreement(artifact, graph, tokens, at_once=2000) == agreement(artifact, graph, tokens)


def changed(model: ModelProto, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    tensor = next(t for t in model.graph.initializer if t.name == name)
    array = change(numpy_helper.to_array(tensor).copy())
    tensor.CopyFrom(numpy_helper.from_array(array, name))


def one_weight(model: ModelProto) -> None:
    """Another integer in one place of a packed weight."""

    def change(packed: np.ndarray) -> np.ndarray:
        packed.reshape(-1)[37] ^= 1
        return packed

    changed(model, "blocks.0.attention.o.weight~bits0", change)


def one_ulp(model: ModelProto) -> None:
    """The next greater scales of the columns of a weight."""
    cast = next(n for n in model.graph.node if n.input[0] == "blocks.0.mlp.down.sum")
    scaled = next(n for n in model.graph.node if n.input[0] == cast.output[0])
    changed(model, scaled.input[1], lambda scale: np.nextafter(scale, np.float32(1)))


def one_epsilon(model: ModelProto) -> None:
    """Another guard under the roots of norms."""
    changed(model, "blocks.0.attention_norm~3", lambda eps: eps * np.float32(1.1))


def damaged(artifact: Artifact, damage: Callable[[ModelProto], None], folder: Path) -> OnnxRuntime:
    model = onnx.load(artifact.folder / "model.onnx")
    before = model.SerializeToString()
    damage(model)
    assert model.SerializeToString() != before
    onnx.save(model, folder / "model.onnx")
    places = artifact.manifest["onnx"]
    return OnnxRuntime(OnnxProgram(folder / "model.onnx"), places["layers"], places["raw"])


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (one_weight, "dequantize of blocks.0.attention.o.sum"),
        (one_ulp, "dequantize of blocks.0.mlp.down.sum"),
        (one_epsilon, "rms_norm blocks.0.attention_norm"),
    ],
)
def test_what_whole_outputs_would_let_pass_is_found(
    damage, named, artifact, graph, tokens, tmp_path
):
    runtime = damaged(artifact, damage, tmp_path)
    tolerance = artifact.manifest["tolerance"]
    whole = compare_golden(runtime, artifact.folder / "golden", tolerance=tolerance)
    found = lockstep(graph, runtime, [[tokens[0]["tokens"]]])
    assert whole.difference is None
    assert found.differences
    assert found.differences[0].startswith(named)


def test_values_without_a_unit_are_the_edges():
    x = Input(TensorType((4,), F32), name="x")
    real = Add(x, x)
    low = Quantize(real, I8, per_tensor(0.5))
    back = Dequantize(low)
    last = Mul(back, x)
    graph = Graph("g", (x,), (("y", last), ("q", low)))
    edges = cut_edges(graph)
    assert list(edges) == [x, real, low, back, last]
    assert sources(back, edges) == (low,)
    assert set(sources(last, edges)) == {back, x}


def test_integers_inside_are_no_edges():
    x = Input(TensorType((4,), F32), name="x")
    low = Quantize(x, I8, per_tensor(0.5))
    back = Dequantize(low)
    graph = Graph("g", (x,), (("y", back),))
    edges = cut_edges(graph)
    assert list(edges) == [x, back]
    assert sources(back, edges) == (x,)


@dataclass(frozen=True)
class Off:
    """A program that computes what the graph does, and adds to one value."""

    at: str
    by: float

    def part(self, graph: Graph, given: Sequence[Node], wanted: Sequence[Node]) -> Computing:
        def compute(values: Mapping[Node, np.ndarray]) -> dict[Node, np.ndarray]:
            known = dict(values)
            for node in graph.nodes:
                if node not in known and all(operand in known for operand in node.operands):
                    known[node] = node.evaluate(*(known[o] for o in node.operands))
            return {node: known[node] + self.off(node, known[node].dtype) for node in wanted}

        return compute

    def off(self, node: Node, dtype: np.dtype) -> np.ndarray:
        return np.array(self.by if node.name == self.at else -0.0).astype(dtype)


ULP = 2.0**-23


@pytest.mark.parametrize(
    ("program", "found"),
    [
        (Off("", 0), 0),
        (Off("whole", 1), 1),
        (Off("double", 2 * ULP), 1),
        (Off("norm", 2 * ULP), 0),
        (Off("norm", 64 * ULP), 1),
        (Off("none", ULP), 1),
    ],
    ids=str,
)
def test_a_program_that_is_off_is_found_out(program, found):
    x = Input(TensorType((4,), F32), name="x")
    double = Add(x, x, name="double")
    norm = RmsNorm(double, axis=0, name="norm")
    none = Sub(x, x, name="none")
    whole = Quantize(double, I8, per_tensor(0.5), name="whole")
    outputs = (("norm", norm), ("none", none), ("whole", whole))
    agreed = lockstep(Graph("g", (x,), outputs), program, [[np.ones(4, np.float32)]])
    assert len(agreed.differences) == found
    assert (agreed.integers, agreed.reals) == (1, 3)


def test_zeros_of_either_sign_are_alike():
    x = Input(TensorType((1,), F32), name="x")
    graph = Graph("g", (x,), (("y", Neg(x, name="y")),))
    assert lockstep(graph, Off("y", 0), [[np.zeros(1, np.float32)]]).differences == ()
