"""The two ONNX targets: integers only, run bit for bit; and Q/DQ pairs for other engines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qcompile.errors import ArtifactError, TargetError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.types import Array
from qcompile.passes.choose_widths import BY_NORMS, WidthRule
from qcompile.passes.recipe import Recipe
from qcompile.targets.base import Arrays, Computing, Emitted, Stages
from qcompile.targets.borders import borders
from qcompile.targets.onnx.emit import STEM, emit_integer, emit_qdq, refusals
from qcompile.targets.onnx.names import value_names
from qcompile.targets.onnx.parts import GIVEN
from qcompile.targets.onnx.program import OnnxProgram
from qcompile.targets.onnx.qdq import with_stored_weights
from qcompile.targets.opened import THIS_PROCESSOR
from qcompile.targets.steps import Outline

_NATIVE = {"ConvInteger": "native", "MatMulInteger": "native", "int64 rescale": "native"}


@dataclass(frozen=True)
class OnnxInteger:
    """Standard integer operators between quantize and dequantize; the interpreter's bits."""

    name: str = "onnx-int"
    summary: str = "ONNX with integer operators only: the same bits in onnxruntime on every CPU"
    exact: bool = True
    tolerance: float = 0.02
    emulates: str = ""
    recipe: Recipe = field(default_factory=lambda: Recipe(widths=WidthRule(scaling=BY_NORMS)))
    instructions: Mapping[str, str] = field(default_factory=lambda: _NATIVE)

    def deployed(self, stages: Stages) -> Graph:
        """The integer graph."""
        return stages.integer

    def refusals(self, graph: Graph) -> Sequence[str]:
        """Nodes without an ONNX form."""
        return refusals(graph)

    def outline(self, graph: Graph) -> Outline:
        """None of its own."""
        raise TargetError(
            f"{self.name} is run by onnxruntime, whose kernels and memory are its own"
        )

    def here(self) -> str:
        """This processor: it runs everywhere."""
        return THIS_PROCESSOR

    def emit(self, graph: Graph, folder: Path, *, threads: int) -> Emitted:
        """The model, and where its integers are found by name."""
        written = emit_integer(graph, folder)
        names = value_names(graph)
        layers = {n.name: names[n] for n in _named_integers(graph)}
        raw = {name: names[node] for name, node in borders(graph).outputs}
        details = {"onnx": {"layers": layers, "raw": raw}}
        files = tuple(path.name for path in written.paths)
        return Emitted(files, details, kept=written.kept)

    def open(self, folder: Path, manifest: Mapping[str, Any], *, threads: int) -> OnnxRuntime:
        """The model in onnxruntime."""
        return _opened(folder, manifest, threads)


@dataclass(frozen=True)
class OnnxQdq:
    """QuantizeLinear and DequantizeLinear around float operators: the engine chooses its bits."""

    name: str = "onnx-qdq"
    summary: str = "ONNX with Q/DQ pairs, for onnxruntime and OpenVINO to fuse; not bit-exact"
    exact: bool = False
    tolerance: float = 0.1
    emulates: str = ""
    recipe: Recipe = field(default_factory=lambda: Recipe(wide_sums=False))
    instructions: Mapping[str, str] = field(default_factory=lambda: {"int8": "by the engine"})

    def deployed(self, stages: Stages) -> Graph:
        """The fake-quantized graph, its weights held as integers."""
        return with_stored_weights(stages.calibrated)

    def refusals(self, graph: Graph) -> Sequence[str]:
        """Nodes without an ONNX form."""
        return refusals(graph)

    def outline(self, graph: Graph) -> Outline:
        """None of its own."""
        raise TargetError(
            f"{self.name} is run by onnxruntime, whose kernels and memory are its own"
        )

    def here(self) -> str:
        """This processor: it runs everywhere."""
        return THIS_PROCESSOR

    def emit(self, graph: Graph, folder: Path, *, threads: int) -> Emitted:
        """The model; its outputs are reals."""
        written = emit_qdq(graph, folder)
        details = {"onnx": {"layers": {}, "raw": {name: name for name, _ in graph.outputs}}}
        files = tuple(path.name for path in written.paths)
        return Emitted(files, details, kept=written.kept)

    def open(self, folder: Path, manifest: Mapping[str, Any], *, threads: int) -> OnnxRuntime:
        """The model in onnxruntime."""
        return _opened(folder, manifest, threads)


@dataclass(frozen=True)
class OnnxRuntime:
    """A runtime over a model file: `layers` and `raw` say under which name a value stands in it."""

    program: OnnxProgram
    layers: Mapping[str, str]
    raw: Mapping[str, str]
    device: str = "this processor, by onnxruntime"
    emulated: bool = False

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs as reals."""
        return self.program.run(inputs)

    def run_raw(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs before their dequantize."""
        values = self._values(inputs)
        return {name: values[value] for name, value in self.raw.items()}

    def trace(self, inputs: Arrays) -> Iterator[tuple[str, Array]]:
        """The named integers, in the order of the graph."""
        values = self._values(inputs)
        for name, value in self.layers.items():
            yield name, values[value]

    def part(self, graph: Graph, given: Sequence[Node], wanted: Sequence[Node]) -> Computing:
        """The model's own operators between the values of the graph that it stands for."""
        names = value_names(graph)
        session = self.program.part({names[n]: n.type for n in given}, [names[n] for n in wanted])

        def compute(values: Mapping[Node, Array]) -> dict[Node, Array]:
            fed = {names[node] + GIVEN: value for node, value in values.items()}
            found = session.run({name: fed[name] for name in session.inputs})
            return {node: found[names[node]] for node in wanted}

        return compute

    def _values(self, inputs: Arrays) -> dict[str, Array]:
        """All named integers at once: one loaded model serves `run_raw` and `trace`."""
        named = dict.fromkeys((*self.layers.values(), *self.raw.values()))
        computed = [value for value in named if value not in inputs]
        return {**inputs, **self.program.run(inputs, layers=computed)}


def _named_integers(graph: Graph) -> list[Node]:
    """Computed integers that have a name of their own."""
    depends: set[Node] = set(graph.inputs)
    for node in graph.nodes:
        if any(operand in depends for operand in node.operands):
            depends.add(node)
    named = [n for n in graph.nodes if n.type.is_quantized and n.name and n.operands]
    found = [n for n in named if n in depends]
    times = Counter(node.name for node in named)
    return [node for node in found if times[node.name] == 1]


def _opened(folder: Path, manifest: Mapping[str, Any], threads: int) -> OnnxRuntime:
    places = manifest.get("onnx")
    if places is None:
        raise ArtifactError(f"{folder}: the manifest has no entry 'onnx'")
    program = OnnxProgram(folder / f"{STEM}.onnx", threads=threads)
    return OnnxRuntime(program, places["layers"], places["raw"])


ONNX_INT = OnnxInteger()
ONNX_QDQ = OnnxQdq()
