"""t4-int4 and its kin: generated CUDA kernels behind a C library that needs only the driver."""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qcompile.cache import default_cache
from qcompile.errors import ArtifactError
from qcompile.ir.graph import Graph
from qcompile.ir.widths import W4A4, W4A8, W8A8
from qcompile.passes.choose_widths import BY_NORMS, WidthRule
from qcompile.passes.recipe import Recipe
from qcompile.targets.base import Emitted, Runtime, Stages
from qcompile.targets.cuda.build import Kernel
from qcompile.targets.cuda.devices import A10, A100, H100, L4, ORIN, T4, Chip, int4_emulation
from qcompile.targets.cuda.driver import found_device, named_device
from qcompile.targets.cuda.emit import KERNELS, build
from qcompile.targets.cuda.emulator import emulator_library
from qcompile.targets.cuda.gates import Limit, check_resources
from qcompile.targets.cuda.host import LIBRARY
from qcompile.targets.cuda.instructions import INT4
from qcompile.targets.cuda.library import CudaLibrary
from qcompile.targets.cuda.lowering import DeviceLowering, on
from qcompile.targets.cuda.plan_file import WEIGHTS
from qcompile.targets.cuda.steps import kernel_of
from qcompile.targets.layers import layer_names
from qcompile.targets.loops.draft import Step_
from qcompile.targets.loops.keeping import kept_weights
from qcompile.targets.loops.program import outlined
from qcompile.targets.loops.select import lower, refused
from qcompile.targets.opened import LibraryRuntime
from qcompile.targets.steps import Outline


@dataclass(frozen=True)
class CudaTarget:
    """One chip and one width. The artifact holds its machine code, and PTX for later chips."""

    name: str
    summary: str
    chip: Chip
    recipe: Recipe = field(default_factory=lambda: Recipe(widths=WidthRule(scaling=BY_NORMS)))
    emulates: str = ""
    exact: bool = True
    tolerance: float = 0.02

    @property
    def instructions(self) -> Mapping[str, str]:
        """Instruction → native, emulated or absent."""
        return {name: support.kind for name, support in self.chip.instructions.items()}

    def deployed(self, stages: Stages) -> Graph:
        """The integer graph."""
        return stages.integer

    def refusals(self, graph: Graph) -> Sequence[str]:
        """Nodes without a kernel."""
        return refused(self._lowering(graph))

    def outline(self, graph: Graph) -> Outline:
        """Kernels with the times that the cost model predicts, or that were measured."""
        return outlined(self._lowering(graph), self._told)

    def _told(self, step: Step_) -> tuple[str, float]:
        ready = kernel_of(step, self.chip)
        return ready.source.name, ready.milliseconds

    def here(self) -> str:
        """The GPU, if it is of the chip's compute capability: later ones run translated kernels."""
        return named_device(self.chip.capability, exactly=True)

    def emit(self, graph: Graph, folder: Path, *, threads: int) -> Emitted:
        """Kernels, plan, weights and the library that runs them."""
        lowering = self._lowering(graph)
        lowered = lower(lowering)
        cache = default_cache(os.environ)
        built = build(
            lowered,
            graph.name,
            self.name,
            self.chip,
            folder,
            cache=cache,
            threads=threads,
            gate=allowed if self.emulates else check_resources,
        )
        details = {
            "arch": self.chip.arch,
            "launches": len(built.plan.launches),
            "kernels": {
                name: {"registers": kernel.registers, "shared_static": kernel.shared_static}
                for name, kernel in built.kernels.items()
            },
            "images": [
                {"file": image.file, "arch": image.arch, "min_driver": image.min_driver}
                for image in built.plan.images
            ],
            "layers": layer_names(graph),
        }
        return Emitted(
            built.files, {"cuda": details}, built.plan.arena_bytes, latency_ms=built.milliseconds,
            kept=kept_weights(lowering.weights, WEIGHTS),
        )  # fmt: skip

    def open(self, folder: Path, manifest: Mapping[str, Any], *, threads: int) -> Runtime:
        """On the GPU of this machine; where there is none, on the emulator."""
        about = manifest.get("cuda")
        if about is None:
            raise ArtifactError(f"{folder}: the manifest has no entry 'cuda'")
        checked = not manifest.get("damaged", False)  # verify runs damaged weights, to name damage
        driver = (
            None
            if found_device(self.chip.capability)
            else emulator(folder, self.chip, threads=threads)
        )
        library = CudaLibrary(folder / LIBRARY, folder, driver=driver, checked=checked)
        layers = frozenset(about["layers"])
        return LibraryRuntime(library, layers, where(library), emulated=library.emulated)

    def _lowering(self, graph: Graph) -> DeviceLowering:
        native = self.chip.instructions[INT4].kind == "native"
        return on(self.chip, graph, int4=native or bool(self.emulates))


def emulator(folder: Path, chip: Chip, *, threads: int) -> Path:
    """The library that runs the artifact's own kernel sources on this processor, as the chip."""
    texts = {path.name: path.read_text() for path in sorted((folder / KERNELS).glob("*.cu*"))}
    sources = {n.removesuffix(".cu"): text for n, text in texts.items() if n.endswith(".cu")}
    own = {name: text for name, text in texts.items() if name.endswith(".cuh")}
    if not sources:
        raise ArtifactError(f"{folder}: no kernel sources in {KERNELS}/, and no GPU here")
    cache = default_cache(os.environ) or Path(tempfile.gettempdir(), "qcompile")
    library = emulator_library(sources, cache=cache, threads=threads, includes=own)
    settings = ctypes.CDLL(str(library))
    settings.qcemu_set_capability(*chip.capability)
    settings.qcemu_set_threads(threads)
    return library


def allowed(kernel: Kernel, limit: Limit) -> None:
    """Emulated instructions take what they need: such kernels are for checking, not for speed."""


def where(library: CudaLibrary) -> str:
    """The GPU's name, or the emulator's; and in which form the kernels run there."""
    translated = library.image.startswith("ptx")
    return f"{library.device}{', translated from PTX' if translated else ''}"


def int8(chip: Chip) -> CudaTarget:
    """8-bit weights and activations."""
    recipe = Recipe(widths=WidthRule(scaling=BY_NORMS), options=(W4A8, W8A8))
    return CudaTarget(f"{chip.name}-int8", f"{_title(chip)}: 8-bit tensor cores", chip, recipe)


def int4(chip: Chip) -> CudaTarget:
    """4-bit weights and activations, the first and the last layer in 8 bits."""
    return CudaTarget(
        name=f"{chip.name}-int4",
        summary=f"{_title(chip)}: 4-bit tensor cores",
        chip=chip,
        recipe=Recipe(widths=WidthRule(W4A4, scaling=BY_NORMS), options=(W4A4, W4A8, W8A8)),
        emulates=int4_emulation(chip),
    )


def _title(chip: Chip) -> str:
    return f"NVIDIA {chip.name.upper()} ({chip.arch})"


T4_INT4, T4_INT8 = int4(T4), int8(T4)
A100_INT4, A100_INT8 = int4(A100), int8(A100)
A10_INT4, A10_INT8 = int4(A10), int8(A10)
ORIN_INT4, ORIN_INT8 = int4(ORIN), int8(ORIN)
L4_INT4, L4_INT8 = int4(L4), int8(L4)
H100_INT4, H100_INT8 = int4(H100), int8(H100)
