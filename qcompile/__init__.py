"""qcompile: one integer program, the same bits everywhere."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qcompile.api import compile
    from qcompile.artifact import Artifact, open_artifact
    from qcompile.errors import QcompileError
    from qcompile.ir.graph import Graph
    from qcompile.options import Options
    from qcompile.read import load
    from qcompile.targets.base import Target

__all__ = [
    "Artifact",
    "Graph",
    "Options",
    "QcompileError",
    "Target",
    "compile",
    "load",
    "open_artifact",
]

_PLACES = {
    "Artifact": "qcompile.artifact",
    "Graph": "qcompile.ir.graph",
    "Options": "qcompile.options",
    "QcompileError": "qcompile.errors",
    "Target": "qcompile.targets.base",
    "compile": "qcompile.api",
    "load": "qcompile.read",
    "open_artifact": "qcompile.artifact",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'qcompile' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
