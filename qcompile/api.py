"""The Python front of a compilation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qcompile.artifact import Artifact
from qcompile.driver import compile_model
from qcompile.options import Options


def compile(model: object, *, target: str, calib: object | None = None, **options: Any) -> Artifact:
    """Compiles a model for a target and returns the artifact.

    `model` is a path, `package.module:callable`, a torch module or a Graph; `calib` anything that
    gives samples: a path, an iterable of dicts, a torch loader, an onnxruntime reader. The other
    options are the fields of `Options`. Raises `QcompileError` for what the caller can mend.
    """
    places = {
        name: None if place is None else Path(place)
        for name, place in ((name, options.pop(name, None)) for name in ("output", "plan"))
    }
    return compile_model(model, Options(target, calib, **places, **options))
