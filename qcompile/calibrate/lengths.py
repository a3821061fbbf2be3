"""The lengths that samples give to a model's open dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from qcompile.calibrate.samples import read_npz
from qcompile.ir.dims import Shape, is_static
from qcompile.ir.graph import Graph
from qcompile.ir.ops.source import Input


def lengths_in(source: Any, graph: Graph) -> dict[str, tuple[int, ...]]:
    """Shapes for the inputs with open dimensions, by the samples that are stored in `source`.

    An open leading dimension counts samples, and becomes 1; the others are as the first samples
    have them. Nothing for an input of which they say nothing, or another thing than the model.
    """
    shapes = _stored(source, [node.name for node in graph.inputs])
    open_inputs = [node for node in graph.inputs if not is_static(node.type.shape)]
    found = {n.name: _fitting(shapes[n.name], n) for n in open_inputs if n.name in shapes}
    return {name: shape for name, shape in found.items() if shape is not None}


def _stored(source: Any, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Of arrays in files, in a mapping, or in a list of mappings; functions are not called."""
    match source:
        case str() | Path():
            return _in_files(Path(source), names)
        case Mapping():
            arrays = cast(Mapping[str, Any], source)
            return {str(name): np.shape(value) for name, value in arrays.items()}
        case [Mapping(), *_]:
            return _stored(source[0], names)
        case _:
            return {}


def _in_files(path: Path, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in (".npz", ".npy"))
        return _in_files(files[0], names) if files else {}
    if path.suffix == ".npz" and path.exists():
        return {name: array.shape for name, array in read_npz(path).items()}
    if path.suffix == ".npy" and path.exists() and len(names) == 1:
        return {names[0]: np.load(path, mmap_mode="r", allow_pickle=False).shape}
    return {}


def _fitting(stored: tuple[int, ...], node: Input) -> tuple[int, ...] | None:
    """The shape of one sample; None where the model's known dimensions are others."""
    wanted = node.type.shape
    shape = stored[1:] if len(stored) == len(wanted) + 1 else (1, *stored[1:])
    return shape if _agrees(shape, wanted) else None


def _agrees(shape: tuple[int, ...], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        own == d for own, d in zip(shape, wanted, strict=True) if isinstance(d, int)
    )
