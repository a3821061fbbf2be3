"""Golden vectors: a few inputs, the integers they must give, and a checksum of every layer."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.types import Array
from qcompile.numerics.npz import write_npz
from qcompile.passes.each import Each, uncounted
from qcompile.targets.base import Runtime
from qcompile.targets.borders import borders
from qcompile.watched import watched

VECTORS = 4


def write_golden(
    graph: Graph, samples: Sequence[Sequence[Array]], folder: Path, each: Each = uncounted
) -> None:
    """Runs the interpreter on up to `VECTORS` samples and writes inputs, raw outputs, checksums."""
    folder.mkdir()
    split = borders(graph)
    kept = named_integers(graph)
    results = [node for _, node in split.outputs]
    checks: list[dict[str, str]] = []
    outputs: dict[str, list[Array]] = {name: [] for name, _ in split.outputs}
    for sample in samples:
        sums: dict[str, str] = {}
        values = dict[object, Array]()
        for node, value in watched(graph, sample, [*kept, *results], each):
            if node in kept:
                sums[node.name] = checksum(value)
            if node in results:
                values[node] = value
        checks.append(sums)
        for name, node in split.outputs:
            outputs[name].append(values[node])
    write_npz(folder / "inputs.npz", _columns(graph, samples))
    write_npz(folder / "outputs.npz", {n: np.stack(v) for n, v in outputs.items()})
    (folder / "layers.json").write_text(json.dumps(checks, indent=1) + "\n")


def named_integers(graph: Graph) -> frozenset[Node]:
    """The integer values that have a name of their own."""
    found = [n for n in graph.nodes if n.type.is_quantized and n.name and n.operands]
    times = Counter(node.name for node in found)
    return frozenset(node for node in found if times[node.name] == 1)


@dataclass(frozen=True)
class Compared:
    """The first difference that is not allowed, in words; how far an output was off at most."""

    difference: str | None = None
    error: float = 0.0


def compare_golden(runtime: Runtime, folder: Path, *, tolerance: float = 0.0) -> Compared:
    """No difference when every output and every layer shown is equal.

    With a tolerance only outputs count, and they may differ by that much in the Euclidean norm.
    """
    inputs, wanted = load_arrays(folder / "inputs.npz"), load_arrays(folder / "outputs.npz")
    checks: list[Mapping[str, str]] = json.loads((folder / "layers.json").read_text())
    farthest = 0.0
    for index, sums in enumerate(checks):
        sample = {name: column[index] for name, column in inputs.items()}
        layer = None if tolerance else first_layer(runtime, sample, sums)
        found = runtime.run_raw(sample)
        for name, column in wanted.items():
            difference = first_difference(column[index], found[name])
            if difference is None:
                continue
            error = relative_error(column[index], found[name])
            farthest = max(farthest, error)
            if error < tolerance:
                continue
            off = f", {error:.1e} of its norm, {tolerance:g} is allowed" if tolerance else ""
            behind = f"; the first layer that differs is {layer}" if layer else ""
            return Compared(f"golden vector {index}, output {name}{difference}{off}{behind}", error)
        if layer is not None:
            return Compared(f"golden vector {index}: layer {layer} differs, the outputs do not")
    return Compared(error=farthest)


def first_layer(
    runtime: Runtime, sample: Mapping[str, Array], sums: Mapping[str, str]
) -> str | None:
    """The first traced value whose checksum is not the reference's."""
    for name, value in runtime.trace(sample):
        if name in sums and checksum(value) != sums[name]:
            return name
    return None


def first_difference(wanted: Array, found: Array) -> str | None:
    """`[0, 3]: 17, must be 16 (5 of 10 elements differ)`, or None when equal bit for bit."""
    if wanted.shape != found.shape:
        return f" has shape {found.shape}, must be {wanted.shape}"
    differs = wanted.view(_bits(wanted)) != found.view(_bits(found))
    if wanted.dtype.kind == "f":
        differs &= ~(np.isnan(wanted) & np.isnan(found))  # one not-a-number is like another
    if not differs.any():
        return None
    place = tuple(int(i) for i in np.argwhere(differs)[0])
    count = int(differs.sum())
    return (
        f"{list(place)}: {found[place]}, must be {wanted[place]} "
        f"({count} of {differs.size} elements differ)"
    )


def relative_error(wanted: Array, found: Array) -> float:
    """|found − wanted| / |wanted| in the Euclidean norm; infinite for other shapes.

    Where both are not-a-number, or the same infinity, there is no error.
    """
    if wanted.shape != found.shape:
        return math.inf
    a, b = wanted.astype(np.float64), found.astype(np.float64)
    judged = ~(((a == b) & np.isinf(a)) | (np.isnan(a) & np.isnan(b)))
    a, b = a[judged], b[judged]
    norm = float(np.linalg.norm(a))
    return float(np.linalg.norm(b - a)) / max(norm, 1e-30)


def checksum(value: Array) -> str:
    """SHA-256 of the elements in row-major order, 16 digits."""
    return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]


def _bits(array: Array) -> np.dtype[np.unsignedinteger]:  # pyright: ignore
    return np.dtype(f"u{array.dtype.itemsize}")


def _columns(graph: Graph, samples: Sequence[Sequence[Array]]) -> dict[str, Array]:
    return {
        node.name: np.stack([sample[i] for sample in samples])
        for i, node in enumerate(graph.inputs)
    }


def load_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a file by name."""
    with np.load(path, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}
