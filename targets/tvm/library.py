"""A compiled model from Python: the C interface through ctypes."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.errors import ArtifactError

Array = NDArray[Any]
DTYPES = (np.uint8, np.int8, np.int16, np.int32, np.float32, np.bool_, np.int64)
MAX_RANK = 8


class _Tensor(c.Structure):
    _fields_ = (
        ("name", c.c_char_p),
        ("type", c.c_int),
        ("rank", c.c_int32),
        ("shape", c.c_int64 * MAX_RANK),
        ("bytes", c.c_size_t),
        ("count", c.c_int32),
        ("axis", c.c_int32),
        ("scales", c.POINTER(c.c_float)),
        ("zero_points", c.POINTER(c.c_int32)),
    )


@dataclass(frozen=True)
class Tensor:
    """An input or output as the library declares it."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


_TRACE = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(_Tensor), c.c_void_p)
Trace = Callable[[str, Array], None]


class Library:
    """An opened model. `ArtifactError` carries the library's own words.

    `checked`: weights that are not the model's own are refused.
    """

    def __init__(
        self, library: Path, weights: Path, *, threads: int = 1, checked: bool = True
    ) -> None:
        try:
            self._lib = c.CDLL(str(library))
        except OSError as error:
            raise ArtifactError(f"{library}: {error}") from error
        self._declare()
        self._model = c.c_void_p()
        start = self._lib.qc_open if checked else self._lib.qc_open_unchecked
        self._check(start(str(weights).encode(), c.byref(self._model)))
        self.threads = threads
        self._check(self._lib.qc_set_threads(self._model, threads))

    def _declare(self) -> None:
        lib = self._lib
        lib.qc_error.restype = lib.qc_step_name.restype = lib.qc_step_kernel.restype = c.c_char_p
        lib.qc_isa.restype = lib.qc_name.restype = c.c_char_p
        lib.qc_arena_bytes.restype = c.c_size_t
        lib.qc_step_nanoseconds.restype = c.c_int64

    def _check(self, status: int) -> None:
        if status != 0:
            raise ArtifactError(self._lib.qc_error().decode(errors="replace"))

    def close(self) -> None:
        """Frees memory and threads."""
        if self._model:
            self._lib.qc_close(self._model)
            self._model = c.c_void_p()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_model"):
            self.close()

    def inputs(self, *, raw: bool) -> tuple[Tensor, ...]:
        """What a run takes."""
        return self._ports(self._lib.qc_input, self._lib.qc_input_count(), raw=raw)

    def outputs(self, *, raw: bool) -> tuple[Tensor, ...]:
        """What a run gives."""
        return self._ports(self._lib.qc_output, self._lib.qc_output_count(), raw=raw)

    def _ports(self, ask: Any, count: int, *, raw: bool) -> tuple[Tensor, ...]:
        found: list[Tensor] = []
        for i in range(count):
            tensor = _Tensor()
            self._check(ask(i, int(raw), c.byref(tensor)))
            found.append(_described(tensor))
        return tuple(found)

    def run(
        self, inputs: Sequence[Array], *, raw_inputs: bool = False, raw_outputs: bool = False
    ) -> list[Array]:
        """One run: reals, or the integers that stand for them."""
        wanted = self.inputs(raw=raw_inputs)
        given = [_matching(a, t) for a, t in zip(inputs, wanted, strict=True)]
        results = [np.empty(t.shape, t.dtype) for t in self.outputs(raw=raw_outputs)]
        status = self._lib.qc_run_forms(
            self._model, _pointers(given), _pointers(results), int(raw_inputs), int(raw_outputs)
        )
        self._check(status)
        return results

    def trace(self, inputs: Sequence[Array]) -> list[tuple[str, Array]]:
        """One run on reals, and the value that each step computed."""
        seen: list[tuple[str, Array]] = []

        def note(_: Any, tensor: Any, data: int) -> None:
            kind = _described(tensor.contents)
            size = tensor.contents.bytes
            values = np.frombuffer(c.string_at(data, size), kind.dtype).reshape(kind.shape)
            seen.append((kind.name, values))

        function = _TRACE(note)
        self._check(self._lib.qc_set_trace(self._model, function, None))
        try:
            self.run(inputs)
        finally:
            self._lib.qc_set_trace(self._model, None, None)
        return seen

    def times(self, inputs: Sequence[Array]) -> list[tuple[str, str, int]]:
        """One run on reals: node, kernel and nanoseconds of each step."""
        self._lib.qc_set_timing(self._model, 1)
        self.run(inputs)
        self._lib.qc_set_timing(self._model, 0)
        lib = self._lib
        return [
            (
                lib.qc_step_name(i).decode(),
                lib.qc_step_kernel(i).decode(),
                int(lib.qc_step_nanoseconds(self._model, i)),
            )
            for i in range(lib.qc_step_count())
        ]

    @property
    def arena_bytes(self) -> int:
        """Working memory."""
        return int(self._lib.qc_arena_bytes())


def _described(tensor: _Tensor) -> Tensor:
    lengths: Any = tensor.shape
    shape = tuple(int(lengths[i]) for i in range(tensor.rank))
    kind: np.dtype[Any] = np.dtype(DTYPES[int(tensor.type)])
    return Tensor(tensor.name.decode(), kind, shape)


def _matching(array: Array, tensor: Tensor) -> Array:
    if array.shape != tensor.shape or array.dtype != tensor.dtype:
        raise ArtifactError(
            f"input {tensor.name} is {array.dtype}{list(array.shape)}, the model takes "
            f"{tensor.dtype}{list(tensor.shape)}"
        )
    return np.ascontiguousarray(array)


def _pointers(arrays: Sequence[Array]) -> Any:
    return (c.c_void_p * (len(arrays) + 1))(*(a.ctypes.data for a in arrays))
