"""A compiled model on a GPU, or on the emulator, from Python: the C interface through ctypes."""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
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

RAW_INPUTS, RAW_OUTPUTS = 1, 2
ERROR_BYTES = 1024
_TRACE = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(CTensor), c.c_void_p)


class _Options(c.Structure):
    _fields_ = (
        ("size", c.c_size_t),
        ("driver", c.c_char_p),
        ("device", c.c_int32),
        ("graphs", c.c_int32),
        ("unchecked", c.c_int32),
    )


class CudaLibrary:
    """An opened model. `ArtifactError` carries the library's own words.

    `library` is libqcrt.so, `folder` holds plan, weights and kernels. `driver` stands in for
    libcuda.so.1: the emulator. `graphs`: all launches as one CUDA graph. `checked`: weights that
    are not the model's own are refused.
    """

    def __init__(
        self,
        library: Path,
        folder: Path,
        *,
        driver: Path | None = None,
        device: int = 0,
        graphs: bool = True,
        checked: bool = True,
    ) -> None:
        try:
            self._lib = c.CDLL(str(library))
        except OSError as error:
            raise ArtifactError(f"{library}: {error}") from error
        self._model = c.c_void_p()
        self._declare()
        named = None if driver is None else str(driver).encode()
        options = _Options(c.sizeof(_Options), named, device, int(graphs), int(not checked))
        error = c.create_string_buffer(ERROR_BYTES)
        status = self._lib.qc_open(
            str(folder).encode(),
            c.byref(options),
            c.byref(self._model),
            error,
            c.c_size_t(ERROR_BYTES),
        )
        if status != 0:
            raise ArtifactError(f"{folder}: {error.value.decode(errors='replace')}")

    def _declare(self) -> None:
        lib = self._lib
        for name in ("name", "target", "device", "image", "last_error"):
            function = getattr(lib, f"qc_{name}")
            function.restype, function.argtypes = c.c_char_p, (c.c_void_p,)
        for name in ("step_name", "step_kernel"):
            function = getattr(lib, f"qc_{name}")
            function.restype, function.argtypes = c.c_char_p, (c.c_void_p, c.c_int32)
        for name in ("arena_bytes", "weights_bytes"):
            function = getattr(lib, f"qc_{name}")
            function.restype, function.argtypes = c.c_size_t, (c.c_void_p,)

    def _check(self, status: int) -> None:
        if status != 0:
            raise ArtifactError(self._text(self._lib.qc_last_error))

    def _text(self, ask: Any, *index: int) -> str:
        return str(ask(self._model, *index).decode(errors="replace"))

    def close(self) -> None:
        """Frees memory on host and device."""
        if self._model:
            self._lib.qc_close(self._model)
            self._model = c.c_void_p()

    def __enter__(self) -> CudaLibrary:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_model"):
            self.close()

    def inputs(self, *, raw: bool) -> tuple[Tensor, ...]:
        """What a run takes."""
        return self._tensors(self._lib.qc_input, self._lib.qc_input_count, int(raw))

    def outputs(self, *, raw: bool) -> tuple[Tensor, ...]:
        """What a run gives."""
        return self._tensors(self._lib.qc_output, self._lib.qc_output_count, int(raw))

    def layers(self) -> tuple[Tensor, ...]:
        """What a trace can show."""
        return self._tensors(self._lib.qc_layer, self._lib.qc_layer_count)

    def _tensors(self, ask: Any, count: Any, *form: int) -> tuple[Tensor, ...]:
        found: list[Tensor] = []
        for i in range(count(self._model)):
            tensor = CTensor()
            self._check(ask(self._model, i, *form, c.byref(tensor)))
            found.append(described(tensor))
        return tuple(found)

    def run(
        self, inputs: Sequence[Array], *, raw_inputs: bool = False, raw_outputs: bool = False
    ) -> list[Array]:
        """One run: reals, or the integers that stand for them."""
        wanted = self.inputs(raw=raw_inputs)
        given = [matching(a, t) for a, t in zip(inputs, wanted, strict=True)]
        results = [np.empty(t.shape, t.dtype) for t in self.outputs(raw=raw_outputs)]
        flags = RAW_INPUTS * raw_inputs | RAW_OUTPUTS * raw_outputs
        self._check(self._lib.qc_run(self._model, pointers(given), pointers(results), flags))
        return results

    def trace(self, inputs: Sequence[Array]) -> list[tuple[str, Array]]:
        """One run on reals, and the value of each layer once it is complete, unpacked."""
        seen: list[tuple[str, Array]] = []

        def note(_: Any, tensor: Any, data: int) -> None:
            value = tensor.contents
            seen.append((described(value).name, copied(value, data)))

        wanted = self.inputs(raw=False)
        given = [matching(a, t) for a, t in zip(inputs, wanted, strict=True)]
        function = _TRACE(note)
        self._check(
            self._lib.qc_trace(self._model, pointers(given), None, 0, function, None)
        )  # fmt: skip
        return seen

    def times(self, inputs: Sequence[Array]) -> list[tuple[str, str, int]]:
        """One run on reals: node, kernel and nanoseconds of each step that it takes."""
        wanted = self.inputs(raw=False)
        given = [matching(a, t) for a, t in zip(inputs, wanted, strict=True)]
        taken = (c.c_int64 * max(len(self.steps), 1))()
        self._check(self._lib.qc_time(self._model, pointers(given), None, 0, taken))
        return [(*step, int(spent)) for step, spent in zip(self.steps, taken, strict=False)]

    @property
    def steps(self) -> tuple[tuple[str, str], ...]:
        """Node and kernel of each launch."""
        lib = self._lib
        return tuple(
            (self._text(lib.qc_step_name, i), self._text(lib.qc_step_kernel, i))
            for i in range(lib.qc_step_count(self._model))
        )

    @property
    def device(self) -> str:
        """The device's name."""
        return self._text(self._lib.qc_device)

    @property
    def image(self) -> str:
        """The kernels in use: sm_75, ptx_75, ..."""
        return self._text(self._lib.qc_image)

    @property
    def emulated(self) -> bool:
        """The kernels run on the CPU."""
        return bool(self._lib.qc_emulated(self._model))

    @property
    def arena_bytes(self) -> int:
        """Working memory on the device."""
        return int(self._lib.qc_arena_bytes(self._model))

    @property
    def weights_bytes(self) -> int:
        """Weights on the device."""
        return int(self._lib.qc_weights_bytes(self._model))
