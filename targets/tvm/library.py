"""A compiled model from Python: the C interface through ctypes."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qcompile.errors import ArtifactError
from qcompile.targets.tensors import (
    Array,
    CTensor,
    Tensor,
    copied,
    described,
    matching,
    pointers,
)  # fmt: skip

_TRACE = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(CTensor), c.c_void_p)
_CHANGE = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(CTensor), c.c_void_p)
Change = Callable[[str, Array], Array]


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
            tensor = CTensor()
            self._check(ask(i, int(raw), c.byref(tensor)))
            found.append(described(tensor))
        return tuple(found)

    def run(
        self, inputs: Sequence[Array], *, raw_inputs: bool = False, raw_outputs: bool = False
    ) -> list[Array]:
        """One run: reals, or the integers that stand for them."""
        wanted = self.inputs(raw=raw_inputs)
        given = [matching(a, t) for a, t in zip(inputs, wanted, strict=True)]
        results = [np.empty(t.shape, t.dtype) for t in self.outputs(raw=raw_outputs)]
        status = self._lib.qc_run_forms(
            self._model, pointers(given), pointers(results), int(raw_inputs), int(raw_outputs)
        )
        self._check(status)
        return results

    def trace(self, inputs: Sequence[Array]) -> list[tuple[str, Array]]:
        """One run on reals, and the value that each step computed."""
        seen: list[tuple[str, Array]] = []

        def note(_: Any, tensor: Any, data: int) -> None:
            value = tensor.contents
            seen.append((described(value).name, copied(value, data)))

        function = _TRACE(note)
        self._check(self._lib.qc_set_trace(self._model, function, None))
        try:
            self.run(inputs)
        finally:
            self._lib.qc_set_trace(self._model, None, None)
        return seen

    @property
    def changes(self) -> bool:
        """It can run with values of the caller's; libraries of earlier compilers cannot."""
        return hasattr(self._lib, "qc_set_change")

    def changed(self, inputs: Sequence[Array], change: Change) -> list[Array]:
        """One run on reals, in which what `change` makes of each value that a step computed is what
        later steps read. What it raises is raised when the run is over."""
        raised: list[Exception] = []

        def replace(_: Any, tensor: Any, data: int) -> None:
            if raised:
                return
            kind = described(tensor.contents)
            try:
                value = matching(change(kind.name, copied(tensor.contents, data)), kind)
                c.memmove(data, value.ctypes.data, value.nbytes)
            except Exception as error:  # no exception may pass through C
                raised.append(error)

        function = _CHANGE(replace)
        self._check(self._lib.qc_set_change(self._model, function, None))
        try:
            results = self.run(inputs)
        finally:
            self._lib.qc_set_change(self._model, None, None)
        if raised:
            raise raised[0]
        return results

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
