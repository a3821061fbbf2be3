"""onnxruntime on the CPU, with every setting that could change a bit or a name pinned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]  it ships none

from qcompile.errors import BadModel, UsageError
from qcompile.ir.types import Array

_SETTINGS = {
    "session.x64quantprecision": "1",  # no 16-bit saturation in fused quantized kernels
    "session.intra_op.allow_spinning": "0",
}


class Session:
    """A loaded model: arrays by name in, arrays by name out.

    `optimize` turns all of onnxruntime's graph rewrites on or off. `folder` is where a model that
    is given as bytes has its weight files. `spend`: weights are unpacked once and copied into the
    kernels' order, which is faster, and takes many times the memory that they have in the file.
    """

    def __init__(
        self,
        model: Path | bytes,
        *,
        threads: int = 1,
        optimize: bool = True,
        folder: Path | None = None,
        spend: bool = True,
    ) -> None:
        source = model if isinstance(model, bytes) else str(model)
        options = _options(threads, optimize)
        if not spend:
            options.add_session_config_entry("session.disable_prepacking", "1")
        if folder is not None:
            key = "session.model_external_initializers_file_folder_path"
            options.add_session_config_entry(key, str(folder))
        try:
            self._session: Any = onnxruntime.InferenceSession(
                source,
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=[] if spend else ["ConstantFolding"],
            )
        except Exception as error:  # onnxruntime's own classes share no base but Exception
            where = "model in memory" if isinstance(model, bytes) else str(model)
            raise BadModel(f"{where}: onnxruntime refuses it: {error}") from error
        self.inputs: tuple[str, ...] = tuple(i.name for i in self._session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(o.name for o in self._session.get_outputs())

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name."""
        missing = [name for name in self.inputs if name not in inputs]
        unknown = [name for name in inputs if name not in self.inputs]
        if missing or unknown:
            raise UsageError(f"inputs are {list(self.inputs)}: missing {missing}, got {unknown}")
        feeds = {name: np.ascontiguousarray(inputs[name]) for name in self.inputs}
        results: list[Any] = self._session.run(None, feeds)
        return {n: np.asarray(r) for n, r in zip(self.outputs, results, strict=True)}


def _options(threads: int, optimize: bool) -> Any:
    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    levels = runtime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    for key, value in _SETTINGS.items():
        options.add_session_config_entry(key, value)
    return options
