"""What the other quantizers make of the same model and the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

from qcompile.execute.ort import Session
from qcompile.ir.types import Array

Sample = dict[str, Array]
METHODS: Final = ("MinMax", "Percentile", "Entropy")


class Reader:
    """What onnxruntime draws calibration samples from."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._rows: Iterator[Sample] = iter(samples)

    def get_next(self) -> Sample | None:
        """The next sample, then None."""
        return next(self._rows, None)


def onnxruntime_static(model: Path, folder: Path, samples: Sequence[Sample], method: str) -> Path:
    """`quantize_static` as its documentation advises: Q/DQ, u8 activations, i8 per channel."""
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    tools: Any = quantization
    prepared, output = folder / "prepared.onnx", folder / f"onnxruntime-{method}.onnx"
    if not prepared.exists():
        shape_inference.quant_pre_process(str(model), str(prepared))
    tools.quantize_static(
        str(prepared),
        str(output),
        Reader(samples),
        quant_format=tools.QuantFormat.QDQ,
        per_channel=True,
        activation_type=tools.QuantType.QUInt8,
        weight_type=tools.QuantType.QInt8,
        calibrate_method=getattr(tools.CalibrationMethod, method),
    )
    return output


def nncf_quantize(model: Path, folder: Path, samples: Sequence[Sample]) -> Path | None:
    """`nncf.quantize` with its defaults; None where NNCF is not installed."""
    try:
        import nncf  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    tools: Any = nncf
    quantized = tools.quantize(
        onnx.load(model), tools.Dataset(list(samples)), subset_size=len(samples)
    )
    output = folder / "nncf.onnx"
    onnx.save(quantized, output)
    return output


def outputs(model: Path, samples: Sequence[Sample], *, threads: int = 2) -> Array:
    """The first output of each sample in onnxruntime, stacked."""
    session = Session(model, threads=threads)
    name = session.outputs[0]
    return np.concatenate([session.run(sample)[name] for sample in samples])


def sqnr_db(wanted: Array, found: Array) -> float:
    """10 log₁₀(Σ wanted² / Σ (wanted − found)²)."""
    a, b = wanted.astype(np.float64), found.astype(np.float64)
    return float(10 * np.log10(np.sum(a**2) / max(float(np.sum((a - b) ** 2)), 1e-300)))


def agreement(wanted: Array, found: Array) -> float:
    """Percent of rows with the same greatest element."""
    return 100 * float(np.mean(wanted.argmax(1) == found.argmax(1)))
