"""onnxruntime as its users run it: all its speed, and its own static int8 quantizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from qcompile.errors import BadModel
from qcompile.ir.types import Array


class Rival:
    """A model under onnxruntime's default settings but for the number of threads."""

    def __init__(self, model: Path, *, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own classes share no base but Exception
            raise BadModel(f"{model}: onnxruntime refuses it: {error}") from error
        self._inputs = [i.name for i in self._session.get_inputs()]
        self._outputs = [o.name for o in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name."""
        results = self._session.run(self._outputs, {n: inputs[n] for n in self._inputs})
        return {n: np.asarray(r) for n, r in zip(self._outputs, results, strict=True)}


def quantize_static(model: Path, output: Path, samples: Sequence[Mapping[str, Array]]) -> None:
    """onnxruntime's own post-training quantization: Q/DQ, per channel, u8 activations, i8 weights,
    after its shape inference and graph optimization, as its documentation advises."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType
    from onnxruntime.quantization import quantize_static as quantize
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rows: Iterator[Mapping[str, Array]] = iter(samples)

        def get_next(self) -> Mapping[str, Array] | None:
            return next(self.rows, None)

    prepared = output.with_suffix(".prepared.onnx")
    try:
        quant_pre_process(str(model), str(prepared))
        quantize(
            str(prepared),
            str(output),
            Reader(),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    except Exception as error:  # whatever onnxruntime raises: this rival is absent, no more
        raise BadModel(f"{model}: onnxruntime's quantizer fails: {error}") from error
