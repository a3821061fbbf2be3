"""What results depend on, as digests: the samples, and the compiler itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np

from qcompile.ir.types import Array

PACKAGES = ("qcompile", "qcompile.passes", "qcompile.targets")


def samples_digest(samples: Iterable[Sequence[Array]]) -> str:
    """SHA-256 over element types, shapes and bytes, drawn one sample at a time."""
    state = hashlib.sha256()
    for sample in samples:
        for array in sample:
            state.update(json.dumps([array.dtype.name, list(array.shape)]).encode())
            state.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return state.hexdigest()


@cache
def compiler_digest() -> str:
    """SHA-256 over this compiler's sources: another one may find other integers."""
    state = hashlib.sha256()
    for package in PACKAGES:
        for folder in import_module(package).__path__:
            for path in sorted(Path(folder).rglob("*.py")):
                state.update(f"{package} {path.relative_to(folder)}\n".encode())
                state.update(path.read_bytes())
    return state.hexdigest()
