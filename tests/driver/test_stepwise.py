"""Kernels of a native library on the interpreter's operands: equal, found where they are not."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from qcompile.artifact import Artifact, open_artifact
from qcompile.check import verify
from qcompile.driver import compile_model
from qcompile.golden import compare_golden
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul
from qcompile.ir.ops.pointwise import Exp
from qcompile.ir.ops.quant import Quantize
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import F32, I8, Array, TensorType
from qcompile.ir.unit import per_tensor
from qcompile.models.llama import Shape
from qcompile.models.llama_shape import llama_graph
from qcompile.options import Options
from qcompile.program.graph_file import read_graph
from qcompile.stepwise import stepwise
from qcompile.targets.base import Arrays, Correct, InSteps
from qcompile.targets.tvm.library import Library
from qcompile.targets.tvm.stepped import SteppedRuntime
from tests.targets.tvm.checks import BEST, here

SHAPE = Shape(1, 64, 4, 2, 96, 50, 8, tied=False)
INTEGERS = {"W8A8-token": 10 + 10 + 9, "W8A8-tensor": 63}
native = pytest.mark.skipif(BEST not in here(), reason="this processor has no dot products")


def tokens(count: int) -> list[dict[str, Array]]:
    rng = np.random.default_rng(3)
    return [{"tokens": rng.integers(0, SHAPE.vocabulary, (1, 8))} for _ in range(count)]


@pytest.fixture(scope="module", params=list(INTEGERS))
def artifact(request, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("llama") / "it"
    options = Options("x86-int8", tokens(9), output=folder, scheme=request.param)
    return compile_model(llama_graph(SHAPE, 8), options)


@pytest.fixture(scope="module")
def graph(artifact: Artifact) -> Graph:
    return read_graph(artifact.folder)


@native
@pytest.mark.parametrize(("artifact", "integers"), INTEGERS.items(), indirect=["artifact"])
def test_every_kernel_of_a_llama_agrees(artifact, integers, graph):
    assert isinstance(artifact.runtime, InSteps)
    found = stepwise(graph, artifact.runtime, [[s["tokens"]] for s in tokens(2)])
    assert found.differences == ()
    assert found.integers == integers
    assert found.reals > 0
    assert found.farthest < 1e-6


@native
def test_verifying_again_compares_kernels_again(artifact):
    found = verify(open_artifact(artifact.folder))
    assert found.operators is not None
    assert artifact.summary["proof"] == str(found)


def constant(graph: Graph, name: str) -> Const:
    return next(n for n in graph.constants if n.name == name)


def one_weight(graph: Graph, data: bytearray) -> None:
    """Another integer in one place of a weight, which lies in blocks of four rows."""
    block = constant(graph, "blocks.0.attention.o.weight").array[:4, :16].T.tobytes()
    data[data.index(block)] ^= 1


def one_ulp(graph: Graph, data: bytearray) -> None:
    """The next greater scales of the columns of a weight."""
    unit = constant(graph, "blocks.0.mlp.down.weight").type.unit
    assert unit is not None
    scale = np.array(unit.scale, np.float32)
    place = data.index(scale.tobytes())
    data[place : place + scale.nbytes] = np.nextafter(scale, np.float32(1)).tobytes()


def damaged(artifact: Artifact, damage: Callable[..., None], folder: Path) -> SteppedRuntime:
    data = bytearray((artifact.folder / "weights.bin").read_bytes())
    damage(read_graph(artifact.folder), data)
    (folder / "weights.bin").write_bytes(data)
    library = Library(artifact.folder / "model.so", folder, checked=False)
    return SteppedRuntime(library, frozenset(), "this processor")


@native
@pytest.mark.parametrize("artifact", ["W8A8-token"], indirect=True)
@pytest.mark.parametrize(
    ("damage", "named"),
    [(one_weight, "add blocks.0.attended["), (one_ulp, "add blocks.0[")],
)
def test_what_whole_outputs_would_let_pass_is_found(damage, named, artifact, graph, tmp_path):
    runtime = damaged(artifact, damage, tmp_path)
    tolerance = artifact.manifest["tolerance"]
    whole = compare_golden(runtime, artifact.folder / "golden", tolerance=tolerance)
    found = stepwise(graph, runtime, [[tokens(1)[0]["tokens"]]])
    assert whole.difference is None
    assert len(found.differences) == 1
    assert found.differences[0].startswith(named)


@dataclass(frozen=True)
class Off:
    """A program whose steps show `shown`, and add to one of them."""

    shown: tuple[str, ...]
    at: str
    by: float

    def stepped(self, graph: Graph, inputs: Arrays, correct: Correct) -> dict[str, Array]:
        known: dict[Node, Array] = {node: inputs[node.name] for node in graph.inputs}
        for node in graph.nodes:
            known.setdefault(node, self.value(node, known))
            if node.name in self.shown:
                known[node] = correct(node, known[node])
        return {name: known[node] for name, node in graph.outputs}

    def value(self, node: Node, known: dict[Node, Array]) -> Array:
        if node in known:
            return known[node]
        value = node.evaluate(*(known[o] for o in node.operands))
        return (value + np.array(self.by if node.name == self.at else 0)).astype(value.dtype)


def rounded() -> Graph:
    """A sum, a function of it that is rounded, and a product of the sum."""
    x = Input(TensorType((4,), F32), name="x")
    total = Add(x, x, name="sum")
    whole = Quantize(Exp(total, name="exp"), I8, per_tensor(0.125), name="whole")
    return Graph("g", (x,), (("whole", whole), ("twice", Mul(total, total, name="twice"))))


ULP = 2.0**-23
APART, FUSED = ("sum", "exp", "whole", "twice"), ("sum", "whole")


@pytest.mark.parametrize(
    ("program", "differences", "flipped"),
    [
        (Off(APART, "", 0), 0, 0),
        (Off(APART, "sum", ULP), 1, 0),
        (Off(APART, "exp", ULP), 0, 0),
        (Off(APART, "exp", 0.01), 1, 0),
        (Off(APART, "whole", 1), 1, 0),
        (Off(APART, "twice", ULP), 1, 0),
        (Off(FUSED, "whole", 1), 1, 0),
        (Off(FUSED, "exp", 4e-6), 0, 0),
        (Off(FUSED, "exp", 0.05), 1, 0),
        (Off(FUSED, "twice", ULP), 1, 0),
        (Off((), "twice", ULP), 1, 0),
    ],
    ids=str,
)
def test_a_program_that_is_off_is_found_out(program, differences, flipped):
    sample = [np.array([0.125, 0.25, 0.375, 0.4375], np.float32)]
    agreed = stepwise(rounded(), program, [sample])
    assert len(agreed.differences) == differences
    assert agreed.flipped == flipped


def test_a_rounding_at_a_boundary_may_fall_to_the_other_side_and_is_told():
    """Half steps of an eighth, as near as an exponential comes."""
    sample = [np.full(4, np.log(1.0625) / 2, np.float32)]
    agreed = stepwise(rounded(), Off(FUSED, "exp", 4e-6), [sample] * 2)
    assert (agreed.integers, agreed.reals) == (1, 2)
    assert str(agreed).endswith("; 8 roundings of 8 fell to the other side, each by one")


def test_one_step_further_is_a_difference():
    sample = [np.full(4, np.log(1.0625) / 2, np.float32)]
    agreed = stepwise(rounded(), Off(FUSED, "whole", -1), [sample])
    assert agreed.differences[0].startswith("quantize whole[0]: 7, must be 8 (4 of 4")
