"""An emitted model at work: named arrays in, named arrays out, any layer on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from onnx import ModelProto, ValueInfoProto

from qcompile.errors import ArtifactError, UsageError
from qcompile.execute.ort import Session
from qcompile.ir.types import Array, TensorType
from qcompile.targets.onnx.parts import part_of


class OnnxProgram:
    """A model file run by onnxruntime."""

    def __init__(self, path: Path, *, threads: int = 1, optimize: bool = True) -> None:
        if not path.is_file():
            raise ArtifactError(f"{path}: no such model file")
        self.path = path
        self._threads = threads
        self._optimize = optimize
        self._small = not path.with_name(f"{path.name}.data").exists()
        self._sessions: dict[tuple[str, ...], Session] = {}

    def run(self, inputs: Mapping[str, Array], *, layers: Sequence[str] = ()) -> dict[str, Array]:
        """The outputs by name, and the values of `layers`: names of nodes of the graph."""
        wanted = tuple(layers)
        if wanted not in self._sessions:
            self._sessions[wanted] = self._open(wanted)
        return self._sessions[wanted].run(inputs)

    def part(self, given: Mapping[str, TensorType], wanted: Sequence[str]) -> Session:
        """The model's operators that compute `wanted`; inputs are called as `parts` says."""
        return self._session(part_of(self._model, given, wanted))

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Every value that may be asked for, in the order of computation."""
        return tuple(
            name
            for node in self._model.graph.node
            for name in node.output
            if name and "~" not in name
        )

    @cached_property
    def _model(self) -> ModelProto:
        return ModelProto.FromString(self.path.read_bytes())

    def _open(self, layers: tuple[str, ...]) -> Session:
        if not layers:
            return Session(
                self.path, threads=self._threads, optimize=self._optimize, spend=self._small
            )
        graph = self._model.graph
        known = {name for node in graph.node for name in node.output}
        known |= {tensor.name for tensor in graph.initializer}
        unknown = [name for name in layers if name not in known]
        if unknown:
            raise UsageError(f"{self.path.name} has no layers {unknown[:5]}")
        model = ModelProto()
        model.CopyFrom(self._model)
        present = {output.name for output in model.graph.output}
        extra = [name for name in dict.fromkeys(layers) if name not in present]
        model.graph.output.extend(ValueInfoProto(name=name) for name in extra)
        return self._session(model)

    def _session(self, model: ModelProto) -> Session:
        """Of a model in memory whose large weights lie beside the file."""
        return Session(
            model.SerializeToString(),
            folder=self.path.parent,
            threads=self._threads,
            optimize=self._optimize,
            spend=self._small,
        )
