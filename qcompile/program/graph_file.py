"""A graph as files: `graph.qc`, its text, and `blobs.bin`, its large constants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from qcompile.errors import ArtifactError, QcompileError
from qcompile.ir.blob import Blob, mapped_blob
from qcompile.ir.graph import Graph
from qcompile.ir.ops.foreign import Foreign, Runner
from qcompile.ir.parse import parse
from qcompile.ir.text import blobs, dump
from qcompile.ir.types import Array

ALIGNMENT = 64
CHUNK = 1 << 24


def write_graph(graph: Graph, folder: Path) -> tuple[str, ...]:
    """Writes text, blobs and their index; constants one at a time. Returns the file names."""
    (folder / "graph.qc").write_text(dump(graph))
    index: dict[str, dict[str, object]] = {}
    with (folder / "blobs.bin").open("wb") as file:
        for digest, blob in sorted(blobs(graph).items()):
            file.write(b"\0" * (-file.tell() % ALIGNMENT))
            index[digest] = {
                "offset": file.tell(),
                "shape": list(blob.shape),
                "dtype": blob.dtype.name,
            }
            flat = np.ascontiguousarray(blob.array()).reshape(-1).view(np.uint8)
            for start in range(0, flat.size, CHUNK):
                file.write(flat[start : start + CHUNK].data)
    (folder / "blobs.json").write_text(json.dumps(index, indent=1))
    return ("graph.qc", "blobs.bin", "blobs.json")


def read_graph(folder: Path) -> Graph:
    """The graph in a folder; constants stay on disk until asked for."""
    try:
        text = (folder / "graph.qc").read_text()
        index = json.loads((folder / "blobs.json").read_text())
        found = {digest: _blob(folder / "blobs.bin", entry) for digest, entry in index.items()}
        return parse(text, found, runner=foreign_runner())
    except (OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, QcompileError):
            raise
        raise ArtifactError(f"{folder}: cannot read its graph: {error}") from error


def foreign_runner() -> Runner:
    """Runs foreign operators in onnxruntime, which is imported when the first one runs."""
    made: list[Runner] = []

    def run(node: Foreign, operands: tuple[Array, ...]) -> tuple[Array, ...]:
        if not made:
            from qcompile.execute.foreign import OrtRunner

            made.append(OrtRunner())
        return made[0](node, operands)

    return run


def _blob(path: Path, entry: dict[str, Any]) -> Blob:
    kind, offset = np.dtype(str(entry["dtype"])), int(entry["offset"])
    lengths = tuple(int(d) for d in entry["shape"])
    end = offset + int(np.prod(lengths, dtype=np.int64)) * kind.itemsize
    if offset < 0 or end > path.stat().st_size:
        raise ValueError(f"{path} is too short: it must hold {end} bytes")
    return mapped_blob(path, offset=offset, shape=lengths, dtype=kind)
