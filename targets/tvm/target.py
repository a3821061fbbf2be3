"""x86-int8: kernels by TVM, the rest in C; a library that needs nothing but libc."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qcompile.errors import ArtifactError
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.types import TensorType
from qcompile.passes.choose_widths import BY_NORMS, WidthRule
from qcompile.passes.recipe import Recipe
from qcompile.targets.base import Emitted, Runtime, Stages
from qcompile.targets.layers import layer_names
from qcompile.targets.loops.program import outlined
from qcompile.targets.loops.select import refused
from qcompile.targets.opened import THIS_PROCESSOR, LibraryRuntime
from qcompile.targets.steps import Outline
from qcompile.targets.tvm.build import LIBRARY, build, kernel_name
from qcompile.targets.tvm.emulated import EmulatedRuntime, Ports, is_foreign
from qcompile.targets.tvm.isa import AVX512_VNNI, NEON_DOT, Isa
from qcompile.targets.tvm.library import Library
from qcompile.targets.tvm.lowering import native
from qcompile.targets.tvm.stepped import SteppedRuntime

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
    recipe: Recipe = field(default_factory=lambda: Recipe(widths=WidthRule(scaling=BY_NORMS)))

    def deployed(self, stages: Stages) -> Graph:
        """The integer graph."""
        return stages.integer

    def refusals(self, graph: Graph) -> Sequence[str]:
        """Nodes without a kernel."""
        return refused(native(graph, self.isa))

    def outline(self, graph: Graph) -> Outline:
        """Kernels by the names under which the library calls them; times only a table knows."""
        return outlined(native(graph, self.isa), lambda step: (kernel_name(step.nest), None))

    def here(self) -> str:
        """This processor, if it is of the kind."""
        return "" if is_foreign(self.isa) else THIS_PROCESSOR

    def emit(self, graph: Graph, folder: Path, *, threads: int) -> Emitted:
        """Kernels, runtime and weights."""
        built = build(graph, self.isa, folder, threads=threads)
        details = {
            "isa": self.isa.name,
            "cpu_features": list(self.isa.features),
            "steps": len(built.lowered.steps),
            "kernels": len(set(built.kernels)),
            "unpacked_weight_bytes": built.weights.memory,
            "layers": layer_names(graph),
            "inputs": [port.name for port in built.lowered.inputs],
            "outputs": {
                "real": [_port(port.name, port.real) for port in built.lowered.outputs],
                "raw": [_port(port.name, port.raw) for port in built.lowered.outputs],
            },
        }
        kept = built.weights.kept
        return Emitted(built.files, {"native": details}, built.program.size, kept=kept)

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
        runtime = SteppedRuntime if library.changes else LibraryRuntime
        return runtime(library, frozenset(about["layers"]), THIS_PROCESSOR)


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
