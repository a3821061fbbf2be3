"""Large language models: the sites of 7 B shapes, and one of 1.1 B rotated and quantized.

`python -m tests.bench.large_llama` prints the seconds of every analysis of a Llama with the widths
of 7 B, and how many of its weights they loaded; then, for each stage of a whole compilation of
TinyLlama's shape to 4-bit weights in groups, wall and processor seconds and the greatest memory.
Weights are drawn from seeds when they are asked for. `--layers 2` is a quick look. `--write DIR`
writes the model as `llama.onnx`, and its samples as `calib.npz`, for the command line instead.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import numpy as np

from qcompile.analysis.axes import (
    described,
    online_sites,
    permutation_sites,
    rotation_sites,
    scaling_sites,
)
from qcompile.driver import compile_model
from qcompile.ir.blob import Blob
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.models.llama import Shape
from qcompile.models.llama_shape import llama_graph
from qcompile.options import Options
from qcompile.passes.expose_sites import ExposeSites
from qcompile.progress import Progress
from qcompile.targets.onnx.emit import emit_onnx

STATUS: Final = Path("/proc/self/status")
RESET: Final = Path("/proc/self/clear_refs")
WEIGHT: Final = 1 << 20  # bytes: what is smaller is no weight
PEAK: Final = 2000.0
FINDERS: Final[tuple[Callable[[Graph], object], ...]] = (
    rotation_sites,
    scaling_sites,
    permutation_sites,
    online_sites,
    described,
)


@click.command()
@click.option("--layers", default=22, show_default=True)
@click.option("--length", default=32, show_default=True, help="Tokens of a sample.")
@click.option("--samples", default=4, show_default=True)
@click.option("--target", default="reference", show_default=True)
@click.option("--scheme", default="W4A8-g128-token", show_default=True)
@click.option("--recipe", default="rotate", show_default=True)
@click.option("--write", type=click.Path(path_type=Path), help="Files for the command line.")
def main(
    layers: int,
    length: int,
    samples: int,
    target: str,
    scheme: str,
    recipe: str,
    write: Path | None,
) -> None:
    """The analyses, then the compilation."""
    shape = Shape(layers, 2048, 32, 4, 5632, 32000, length, tied=False)
    graph = llama_graph(shape, length, peak=PEAK)
    tokens = np.random.default_rng(5).integers(0, shape.vocabulary, (samples, length))
    if write is not None:
        emit_onnx(graph, write, stem="llama")
        np.savez(write / "calib.npz", tokens=tokens)
        return
    for kv_heads in (32, 8):
        analyse(kv_heads)
    calib = [{"tokens": row[None]} for row in tokens]
    with tempfile.TemporaryDirectory() as folder:
        options = Options(target, calib, output=Path(folder, "it"), recipe=recipe, scheme=scheme)
        told(graph, options)


def told(graph: Graph, options: Options) -> None:
    """Compiles; prints every step as it ends, then sizes, quality and proof."""
    stages = Stages()
    artifact = compile_model(graph, options, stages)
    stages("")
    found = artifact.summary
    parameters = sum(c.data.size for c in graph.constants if c.type.is_float)
    print(f"{parameters / 1e9:.2f} G parameters, {found['size']['artifact_bytes'] / 1e6:.0f} MB")
    print(f"SQNR {found['quality']['sqnr_db']}, peak memory {stages.peak / 1e9:.2f} GB")
    print(f"verified: {found['proof']}")


def analyse(kv_heads: int) -> None:
    """Each analysis of 32 layers as wide as those of 7 B."""
    graph = llama_graph(Shape(32, 4096, 32, kv_heads, 11008, 32000, 512, tied=False), 512)
    print(f"32 layers of 4096, {kv_heads} heads of keys: {len(graph.nodes)} nodes")
    with loads() as loaded:
        start = time.process_time()
        graph = ExposeSites().run(graph)
        print(f"  {'exposed':20} {time.process_time() - start:6.2f} s")
        for find in FINDERS:
            start = time.process_time()
            find(graph)
            print(f"  {find.__name__:20} {time.process_time() - start:6.2f} s")
    print(f"  weights loaded: {len(loaded)}")


@contextmanager
def loads() -> Generator[list[Blob]]:
    """The weights that are loaded meanwhile."""
    found: list[Blob] = []
    whole = Blob.array

    def array(self: Blob) -> Array:
        if self.nbytes >= WEIGHT:
            found.append(self)
        return whole(self)

    Blob.array = array
    try:
        yield found
    finally:
        Blob.array = whole


class Stages(Progress):
    """Prints a line for every step that has ended."""

    def __init__(self) -> None:
        self.peak = 0
        self._begin("reading")

    def __call__(self, step: str) -> None:
        """The step before has ended."""
        wall, own = time.monotonic() - self._wall, time.process_time() - self._own
        peak = _peak_bytes()
        self.peak = max(self.peak, peak)
        line = f"{self._step:60.60} {wall:7.1f} s, {own:7.1f} s of processors"
        print(f"{line}, {peak / 1e6:6.0f} MB", flush=True)
        self._begin(step)

    def _begin(self, step: str) -> None:
        self._step, self._wall, self._own = step, time.monotonic(), time.process_time()
        RESET.write_text("5")  # Linux: the peak of memory begins anew


def _peak_bytes() -> int:
    """The greatest resident memory since the last look."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
