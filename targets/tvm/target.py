"""x86-int8: kernels by TVM, the rest in C; a library that needs nothing but libc."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qcompile.errors import ArtifactError
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array, TensorType
from qcompile.passes.recipe import Recipe
from qcompile.targets.base import Arrays, Emitted, Runtime, Stages
from qcompile.targets.layers import layer_names
from qcompile.targets.loops.select import refused
from qcompile.targets.tvm.build import LIBRARY, build
from qcompile.targets.tvm.emulated import EmulatedRuntime, Ports, is_foreign
from qcompile.targets.tvm.isa import AVX512_VNNI, NEON_DOT, Isa
from qcompile.targets.tvm.library import Library
from qcompile.targets.tvm.lowering import native

_X86 = {"vpdpbusd u8·i8": "native", "rescale i32·i32": "native", "i4 weights": "emulated"}
_ARM = {"sdot i8·i8": "native", "rescale i32·i32": "native", "i4 weights": "emulated"}


@dataclass(frozen=True)
class NativeTarget:
    """One instruction set: `model.so`, `weights.bin`, `model.h` and `main.c`."""

    name: str
    summary: str
    isa: Isa
    instructions: Mapping[str, str]
    exact: bool = True
    tolerance: float = 0.02
    emulates: str = ""
    recipe: Recipe = field(default_factory=Recipe)

    def deployed(self, stages: Stages) -> Graph:
        """The integer graph."""
        return stages.integer

    def refusals(self, graph: Graph) -> Sequence[str]:
        """Nodes without a kernel."""
        return refused(native(graph, self.isa))

    def emit(self, graph: Graph, folder: Path, *, threads: int) -> Emitted:
        """Kernels, runtime and weights."""
        built = build(graph, self.isa, folder, threads=threads)
        details = {
            "isa": self.isa.name,
            "cpu_features": list(self.isa.features),
            "steps": len(built.lowered.steps),
            "kernels": len(set(built.kernels)),
            "layers": layer_names(graph),
            "inputs": [port.name for port in built.lowered.inputs],
            "outputs": {
                "real": [_port(port.name, port.real) for port in built.lowered.outputs],
                "raw": [_port(port.name, port.raw) for port in built.lowered.outputs],
            },
        }
        return Emitted(built.files, {"native": details}, built.program.size)

    def open(self, folder: Path, manifest: Mapping[str, Any], *, threads: int) -> Runtime:
        """The library, checked against this processor and its weights; under qemu elsewhere."""
        about = manifest.get("native")
        if about is None:
            raise ArtifactError(f"{folder}: the manifest has no entry 'native'")
        if about["isa"] != self.isa.name:
            raise ArtifactError(f"{folder} was built for {about['isa']}, not {self.isa.name}")
        if is_foreign(self.isa):
            real, raw = (_ports(about["outputs"][form]) for form in ("real", "raw"))
            return EmulatedRuntime(folder, self.isa, tuple(about["inputs"]), real, raw)
        checked = not manifest.get("damaged", False)  # verify runs damaged weights, to name damage
        library = Library(folder / LIBRARY, folder, threads=threads, checked=checked)
        return NativeRuntime(library, frozenset(about["layers"]))


@dataclass(frozen=True)
class NativeRuntime:
    """A runtime over an opened library; `layers` are the names whose values can be compared."""

    library: Library
    layers: frozenset[str]
    device: str = "this processor"
    emulated: bool = False

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs as reals."""
        return self._run(inputs, raw=False)

    def run_raw(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs before their dequantize."""
        return self._run(inputs, raw=True)

    def trace(self, inputs: Arrays) -> Iterator[tuple[str, Array]]:
        """The integers that steps wrote to memory, in their order."""
        for name, value in self.library.trace(self._ordered(inputs)):
            if name in self.layers:
                yield name, value

    def _run(self, inputs: Arrays, *, raw: bool) -> dict[str, Array]:
        values = self.library.run(self._ordered(inputs), raw_outputs=raw)
        names = (t.name for t in self.library.outputs(raw=raw))
        return dict(zip(names, values, strict=True))

    def _ordered(self, inputs: Arrays) -> list[Array]:
        return [inputs[t.name] for t in self.library.inputs(raw=False)]


def _port(name: str, kind: TensorType) -> list[Any]:
    return [name, kind.elem.storage.name, list(static(kind.shape))]


def _ports(rows: Sequence[tuple[str, str, Sequence[int]]]) -> Ports:
    return tuple((name, dtype, tuple(shape)) for name, dtype, shape in rows)


X86_INT8 = NativeTarget(
    name="x86-int8",
    summary="x86-64 with AVX512-VNNI: a C library of its own, 8-bit, the interpreter's bits",
    isa=AVX512_VNNI,
    instructions=_X86,
)
ARM64_INT8 = NativeTarget(
    name="arm64-int8",
    summary="64-bit ARM with dot products: a C library of its own, 8-bit, the interpreter's bits",
    isa=NEON_DOT,
    instructions=_ARM,
)
