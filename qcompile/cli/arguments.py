"""Texts of the command line as values; what is named but not built yet says so."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from qcompile.errors import UsageError

MOST_THREADS = 8


def input_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """`x=1x3x224x224` → {"x": (1, 3, 224, 224)}, for each."""
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, equals, lengths = text.rpartition("=")
        if not equals or not name:
            raise UsageError(f"--input-shape {text}: write NAME=LENGTHS, as in x=1x3x224x224")
        if name in found:
            raise UsageError(f"--input-shape names input {name!r} twice: give each input one shape")
        found[name] = _shape(lengths, text)
    return found


def _shape(lengths: str, text: str) -> tuple[int, ...]:
    if lengths in ("", "scalar"):
        return ()
    parts = lengths.replace(",", "x").split("x")
    if not all(part.strip().isdecimal() for part in parts):
        wrong = next(part for part in parts if not part.strip().isdecimal())
        raise UsageError(
            f"--input-shape {text}: {wrong!r} is not a length; write whole numbers with x between, "
            "as in x=1x3x224x224"
        )
    shape = tuple(int(part) for part in parts)
    if 0 in shape:
        raise UsageError(f"--input-shape {text}: a length is 0, every axis needs at least 1")
    return shape


def split_schemes(texts: Iterable[str]) -> tuple[str | None, dict[str, str]]:
    """`W4A4`, `conv1=W8A8` → the scheme of all layers, and those of single ones."""
    scheme: str | None = None
    found: dict[str, str] = {}
    for text in texts:
        pattern, equals, widths = text.rpartition("=")
        if equals:
            found[pattern] = widths
            continue
        if scheme is not None:
            raise UsageError(f"--scheme {scheme} and --scheme {text}: one of them for all layers")
        scheme = text
    return scheme, found


def default_threads() -> int:
    """The processors that this process may use, at most 8; results do not depend on it."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MOST_THREADS)
    return min(os.cpu_count() or 1, MOST_THREADS)


def see_current_folder() -> None:
    """Lets `package.module:callable` name files of the current folder, behind all that is
    installed, so that a folder called onnx or torch does not hide the package."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
