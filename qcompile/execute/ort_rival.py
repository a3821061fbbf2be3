"""onnxruntime as its users run it: all its speed, and its own static int8 quantizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]  it ships none

from qcompile.errors import BadModel
from qcompile.ir.types import Array

Sample = Mapping[str, Array]


class Rival:
    """A model under onnxruntime's default settings but for the number of threads."""

    def __init__(self, model: Path, *, threads: int) -> None:
        options: Any = onnxruntime.SessionOptions()  # pyright: ignore
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(  # pyright: ignore
                str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own classes share no base but Exception
            raise BadModel(f"{model}: onnxruntime refuses it: {error}") from error
        self._inputs: list[str] = [i.name for i in self._session.get_inputs()]
        self._outputs: list[str] = [o.name for o in self._session.get_outputs()]

    def run(self, inputs: Sample) -> dict[str, Array]:
        """All outputs by name."""
        results = self._session.run(self._outputs, {n: inputs[n] for n in self._inputs})
        return {n: np.asarray(r) for n, r in zip(self._outputs, results, strict=True)}


def quantize_static(model: Path, output: Path, samples: Sequence[Sample]) -> None:
    """onnxruntime's own post-training quantization, prepared as its documentation advises.

    Q/DQ, unsigned activations, signed weights, one scale per output channel.
    """
    from onnxruntime import quantization  # pyright: ignore[reportMissingTypeStubs]
    from onnxruntime.quantization import shape_inference  # pyright: ignore

    tools: Any = quantization
    prepared = output.with_suffix(".prepared.onnx")
    try:
        shape_inference.quant_pre_process(str(model), str(prepared))  # pyright: ignore
        tools.quantize_static(
            str(prepared),
            str(output),
            _Reader(samples),
            per_channel=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
        )
    except Exception as error:  # whatever onnxruntime raises: this rival is absent, no more
        raise BadModel(f"{model}: onnxruntime's quantizer fails: {error}") from error


class _Reader:
    """What onnxruntime draws samples from; it asks for no more than `get_next`."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._rows: Iterator[Sample] = iter(samples)

    def get_next(self) -> Sample | None:
        return next(self._rows, None)

    def __iter__(self) -> Iterator[Sample]:
        return self._rows
