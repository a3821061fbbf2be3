"""Sample sources: npz, folder, callable, onnxruntime reader, torch loader, any iterable of dicts.

The first axis of a stored array counts samples. For an input whose leading dimension is a batch of
1 the array is (N, *rest) and sample i is a[i:i+1]; otherwise it is (N, *shape).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from qcompile.errors import CalibrationError, QcompileError
from qcompile.ir.dims import show
from qcompile.ir.graph import Graph
from qcompile.ir.ops.source import Input, input_shape
from qcompile.ir.types import Array


@runtime_checkable
class Reader(Protocol):
    """onnxruntime's `CalibrationDataReader`: one dict at each call, None at the end."""

    def get_next(self) -> Mapping[str, Array] | None:
        """The next sample."""
        ...


@dataclass(frozen=True)
class Samples:
    """Checked samples of one graph: each is one array per graph input, in the inputs' order."""

    source: str
    draw: Callable[[], Iterator[tuple[Array, ...]]]

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        return self.draw()


def open_samples(source: Any, graph: Graph) -> Samples:
    """The samples behind a path, `package.module:callable`, reader, loader or iterable."""
    match source:
        case str() | Path():
            return _from_text(str(source), graph)
        case Mapping():
            arrays = _arrays(cast(Mapping[str, Any], source))
            return Samples("arrays", lambda: _rows(arrays, graph, "arrays"))
        case Reader():
            kept = list(_read(source))
            return Samples("reader", lambda: _checked(kept, graph, "reader"))
        case Iterator():
            kept = list(cast(Iterator[Any], source))
            return Samples("iterator", lambda: _checked(kept, graph, "iterator"))
        case Iterable():
            items = cast(Iterable[Any], source)
            return Samples("iterable", lambda: _checked(items, graph, "iterable"))
        case _ if callable(source):
            return Samples("callable", lambda: _checked(_called(source), graph, "callable"))
        case _:
            raise CalibrationError(
                f"cannot draw samples from a {type(source).__name__}: give a path, a callable, "
                "a reader or an iterable of dicts"
            )


def kept(source: Any) -> Any:
    """The source, or, of one that can be read only once, a list of its samples."""
    match source:
        case str() | Path() | Mapping():
            return cast(Any, source)
        case Reader():
            return list(_read(source))
        case Iterator():
            return list(cast(Iterator[Any], source))
        case _:
            return source


def _from_text(text: str, graph: Graph) -> Samples:
    path = Path(text)
    if path.suffix == ".npy" and path.is_file():
        return Samples(text, lambda: _folder([path], graph))
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in (".npz", ".npy"))
        if not files:
            raise CalibrationError(f"no .npz or .npy files in calibration folder {path}")
        return Samples(text, lambda: _folder(files, graph))
    if path.suffix == ".npz" or path.exists():
        arrays = read_npz(path)
        return Samples(text, lambda: _rows(arrays, graph, text))
    module, colon, attribute = text.partition(":")
    if not colon:
        raise CalibrationError(
            f"no calibration data at {path}: give x.npz, a folder, or package.module:callable"
        )
    try:
        function = getattr(import_module(module), attribute)
    except Exception as error:  # whatever the user's module raises
        raise CalibrationError(f"cannot import calibration source {text}: {error}") from error
    return Samples(text, lambda: _checked(_called(function), graph, text))


def read_npz(path: Path) -> dict[str, Array]:
    """The arrays of an .npz file. `CalibrationError` when it is none."""
    if not path.exists():
        raise CalibrationError(f"no sample file at {path}")
    if not zipfile.is_zipfile(path):
        raise CalibrationError(f"{path} is not an .npz file: write one with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise CalibrationError(f"{path} is not an .npz file of plain arrays: {error}") from error


def _folder(files: Sequence[Path], graph: Graph) -> Iterator[tuple[Array, ...]]:
    for path in files:
        if path.suffix == ".npz":
            yield from _rows(read_npz(path), graph, str(path))
            continue
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CalibrationError(f"{path} is not a plain .npy array: {error}") from error
        only = graph.inputs[0]
        if len(graph.inputs) != 1:
            names = ", ".join(i.name for i in graph.inputs)
            raise CalibrationError(f"{path}: an .npy has no names for the inputs {names}: use .npz")
        if array.shape == input_shape(only):
            array = array if _batched(only) else array[None]
        yield from _rows({only.name: array}, graph, str(path))


def _rows(arrays: Mapping[str, Array], graph: Graph, where: str) -> Iterator[tuple[Array, ...]]:
    """The samples stacked in named arrays, checked before the first is drawn."""
    columns = [stacked(arrays, node, where) for node in graph.inputs]
    counts = {len(c) for c in columns}
    if len(counts) > 1:
        sizes = ", ".join(f"{n.name} {len(c)}" for n, c in zip(graph.inputs, columns, strict=True))
        raise CalibrationError(f"{where}: inputs differ in number of samples: {sizes}")
    if not graph.inputs or counts == {0}:
        raise CalibrationError(f"{where} holds no samples: give at least one")
    for index in range(counts.pop()):
        yield tuple(
            _finite(np.asarray(c[index], order="C"), node, f"{where}, sample {index}")
            for node, c in zip(graph.inputs, columns, strict=True)
        )


def stacked(arrays: Mapping[str, Array], node: Input, where: str) -> Array:
    """One input's samples as [N, *shape]; `CalibrationError` names what does not fit."""
    if node.name not in arrays:
        known = ", ".join(arrays) or "nothing"
        raise CalibrationError(f"{where} holds {known}, but no array for input {node.name!r}")
    array, shape = arrays[node.name], input_shape(node)
    wanted = shape[1:] if _batched(node) else shape
    if array.shape[1:] != wanted or array.ndim == 0:
        raise CalibrationError(
            f"{where}: input {node.name!r} wants samples stacked as (N, {show(wanted)}), got "
            f"{array.shape}"
        )
    return _typed(array, node, where).reshape(array.shape[0], *shape)


def _typed(array: Array, node: Input, where: str) -> Array:
    wanted = node.type.elem.storage
    if array.dtype == wanted:
        return array
    if array.dtype.kind == "f" and wanted.kind == "f":
        return array.astype(wanted)
    if array.dtype.kind in "iu" and wanted.kind in "iu":
        narrowed = array.astype(wanted)
        if np.array_equal(narrowed, array):
            return narrowed
    raise CalibrationError(
        f"{where}: input {node.name!r} wants {wanted}, got {array.dtype}: convert the samples as "
        "the model's preprocessing does"
    )


def _finite(array: Array, node: Input, where: str) -> Array:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise CalibrationError(f"{where}: input {node.name!r} holds NaN or infinity")
    return array


def _checked(source: Iterable[Any], graph: Graph, where: str) -> Iterator[tuple[Array, ...]]:
    """Samples given one by one: a dict, or an array (or tuple with the array first)."""
    empty = True
    for index, given in enumerate(_drawn(source, where)):
        place = f"{where}, sample {index}"
        named = _named(given, graph, place)
        for parts in _split(named, graph, place):
            empty = False
            yield parts
    if empty:
        raise CalibrationError(f"{where} gave no samples: give at least one")


def _named(given: Any, graph: Graph, where: str) -> dict[str, Array]:
    if isinstance(given, Mapping):
        return _arrays(cast(Mapping[str, Any], given))
    row = cast(list[Any], given) if isinstance(given, tuple | list) else []
    first = cast(Any, row[0] if row else given)
    if len(graph.inputs) != 1:
        names = ", ".join(i.name for i in graph.inputs)
        raise CalibrationError(f"{where}: give a dict with arrays for {names}")
    return {graph.inputs[0].name: _array(first)}


def _arrays(named: Mapping[str, Any]) -> dict[str, Array]:
    return {str(name): _array(value) for name, value in named.items()}


def _array(value: Any) -> Array:
    detached = value.detach().cpu() if hasattr(value, "detach") else value
    try:
        return np.asarray(detached)
    except ValueError as error:
        raise CalibrationError(f"a sample is no array: {error}") from error


def _split(named: Mapping[str, Array], graph: Graph, where: str) -> Iterator[tuple[Array, ...]]:
    """One sample of the graph's own shapes, or a batch of them along the first axis."""
    if all(n.name in named and named[n.name].shape == input_shape(n) for n in graph.inputs):
        yield tuple(_finite(_typed(named[n.name], n, where), n, where) for n in graph.inputs)
        return
    yield from _rows(named, graph, where)


def _read(reader: Reader) -> Iterator[Mapping[str, Array]]:
    while (sample := reader.get_next()) is not None:
        yield sample


def _called(function: Callable[[], Any]) -> Iterable[Any]:
    """Called once for each pass over the samples."""
    result = function()
    yield from _read(result) if isinstance(result, Reader) else result


def _drawn(source: Iterable[Any], where: str) -> Iterator[Any]:
    """The items; what the user's code raises becomes a `CalibrationError` with its name."""
    try:
        yield from source
    except QcompileError:
        raise
    except Exception as error:
        name = type(error).__name__
        raise CalibrationError(f"{where}: drawing samples fails: {name}: {error}") from error


def _batched(node: Input) -> bool:
    return node.type.rank > 0 and node.type.shape[0] == 1
