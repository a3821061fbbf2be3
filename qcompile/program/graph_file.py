"""A graph as files: `graph.qc`, its text, and `blobs.bin`, what no other file holds of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np

from qcompile.errors import ArtifactError, QcompileError
from qcompile.ir.blob import Blob, blob, mapped_blob
from qcompile.ir.graph import Graph
from qcompile.ir.ops.foreign import Foreign, Runner
from qcompile.ir.parse import parse
from qcompile.ir.text import blobs, dump
from qcompile.ir.types import Array
from qcompile.numerics.packing import pack, packed_size, unpack
from qcompile.program.kept import Kept, entry_of, holds, kept_of

ALIGNMENT = 64
CHUNK = 1 << 24
PIECE = 1 << 20  # elements packed or unpacked at a time


NOTHING: Mapping[str, Kept] = MappingProxyType({})


def write_graph(graph: Graph, folder: Path, kept: Mapping[str, Kept] = NOTHING) -> tuple[str, ...]:
    """Writes text, blobs and their index; constants one at a time. Returns the file names.

    Constants of fewer than 8 bits are packed: the index says how many bits an element takes. Those
    that files of the folder hold already, by digest in `kept`, are looked up there and left out.
    """
    (folder / "graph.qc").write_text(dump(graph))
    narrow, wanted = _narrow(graph), blobs(graph)
    found = {k: kept[k] for k in sorted(wanted.keys() & kept.keys())}
    found = {k: where for k, where in found.items() if holds(where, folder, wanted[k])}
    named = {k: tuple(blob(axis) for axis in where.places) for k, where in found.items()}
    tables = {table.digest: table for axes in named.values() for table in axes}
    index: dict[str, dict[str, object]] = {}
    with (folder / "blobs.bin").open("wb") as file:
        for digest, each in sorted((wanted | tables).items()):
            index[digest] = {"shape": list(each.shape), "dtype": each.dtype.name}
            if digest in found:
                axes = [table.digest for table in named[digest]]
                index[digest] |= entry_of(found[digest], axes)
                continue
            index[digest] = _written(file, each, narrow.get(digest)) | index[digest]
    (folder / "blobs.json").write_text(json.dumps(index, indent=1))
    return ("graph.qc", "blobs.bin", "blobs.json")


def _written(file: BinaryIO, each: Blob, bits: int | None) -> dict[str, object]:
    """Appends a blob: the part of its entry that says how it is stored."""
    file.write(b"\0" * (-file.tell() % ALIGNMENT))
    start, flat = file.tell(), np.ascontiguousarray(each.array()).reshape(-1)
    if bits is None:
        _write_whole(file, flat.view(np.uint8))
        return {"offset": start}
    _write_packed(file, flat, bits)
    return {"offset": start, "bits": bits}


def _narrow(graph: Graph) -> dict[str, int]:
    """Bits of the integer constants that have fewer than 8; the most, where several share one."""
    found: dict[str, int] = {}
    for node in graph.constants:
        if node.elem.is_integer and node.data.dtype.itemsize == 1:
            digest = node.data.digest
            found[digest] = max(node.elem.bits, found.get(digest, 0))
    return {digest: bits for digest, bits in found.items() if bits < 8}


def _write_whole(file: BinaryIO, flat: Array) -> None:
    for start in range(0, flat.size, CHUNK):
        file.write(flat[start : start + CHUNK].data)


def _write_packed(file: BinaryIO, flat: Array, bits: int) -> None:
    """Whole bytes at a time: a multiple of 8 elements fills them."""
    for start in range(0, flat.size, PIECE):
        file.write(pack(flat[start : start + PIECE], bits).data)


def read_graph(folder: Path) -> Graph:
    """The graph in a folder; constants stay on disk until asked for."""
    try:
        text = (folder / "graph.qc").read_text()
        index = json.loads((folder / "blobs.json").read_text())
        own = {k: _blob(folder / "blobs.bin", e) for k, e in index.items() if "file" not in e}
        others = {k: _kept(folder, e, own) for k, e in index.items() if "file" in e}
        return parse(text, own | others, runner=foreign_runner())
    except (OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, QcompileError):
            raise
        raise ArtifactError(f"{folder}: cannot read its graph: {error}") from error


def _kept(folder: Path, entry: Mapping[str, Any], tables: Mapping[str, Blob]) -> Blob:
    shape = tuple(int(d) for d in entry["shape"])
    return kept_of(entry, tables).blob(folder, shape, np.dtype(str(entry["dtype"])))


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
    count, bits = int(np.prod(lengths, dtype=np.int64)), int(entry.get("bits", 0))
    size = packed_size(count, bits) if bits else count * kind.itemsize
    if offset < 0 or offset + size > path.stat().st_size:
        raise ValueError(f"{path} is too short: it must hold {offset + size} bytes")
    if not bits:
        return mapped_blob(path, offset=offset, shape=lengths, dtype=kind)
    packed = mapped_blob(path, offset=offset, shape=(size,), dtype=np.dtype(np.uint8))
    return Blob(lengths, kind, lambda: _unpacked(packed.array(), kind, bits, lengths))


def _unpacked(data: Array, kind: np.dtype[Any], bits: int, shape: tuple[int, ...]) -> Array:
    result = np.empty(shape, kind)
    flat, step = result.reshape(-1), packed_size(PIECE, bits)
    for place, start in enumerate(range(0, flat.size, PIECE)):
        part = flat[start : start + PIECE]
        piece = data[place * step : (place + 1) * step]
        part[:] = unpack(piece, bits, part.size, signed=kind.kind == "i")
    return result
