"""Plans that make no sense, past the checks of their classes: what only a damaged file can hold."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

Path = tuple[str | int, ...]


def forged(value: Any, path: Path, leaf: Any) -> Any:
    """The value with another leaf at the path, and no questions asked."""
    if not path:
        return leaf
    first, rest = path[0], path[1:]
    inner = forged(_inside(value, first), rest, leaf)
    if isinstance(value, tuple):
        return tuple(inner if i == first else v for i, v in enumerate(value))
    if isinstance(value, Mapping):
        return {k: inner if k == first else v for k, v in value.items()}
    changed = copy.copy(value)
    object.__setattr__(changed, str(first), inner)
    return changed


def numbers(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where the whole numbers are."""
    if isinstance(value, int):
        yield path
    for key in _keys(value):
        yield from numbers(_inside(value, key), (*path, key))


def at(value: Any, path: Path) -> Any:
    """What is there."""
    for key in path:
        value = _inside(value, key)
    return value


def _keys(value: Any) -> list[str | int]:
    if is_dataclass(value):
        return [field.name for field in fields(value)]
    if isinstance(value, Mapping):
        return list(value)
    return list(range(len(value))) if isinstance(value, tuple) else []


def _inside(value: Any, key: Any) -> Any:
    return value[key] if isinstance(value, tuple | Mapping) else getattr(value, key)
