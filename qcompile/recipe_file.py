"""A recipe: the passes on reals and the options of a compilation, as data.

::

    passes:                       # in this order; simplify stands for the usual ones
      - simplify
      - smooth: {policy: smoothquant, alpha: 0.6}
      - simplify
    scheme: W4A8
    exclude: ["head*"]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from qcompile.errors import UsageError
from qcompile.passes import PASSES

USUAL = "simplify"
DEFAULT = "default"
OPTIONS = ("scheme", "method", "rounding", "exclude")
"""The options of the command line that a recipe may set; what is given there comes first."""

_FOLDER = Path(__file__).with_name("recipes")


@dataclass(frozen=True, slots=True)
class PassCall:
    """A pass by its name, and its fields."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """What a file says; `options` by the names of the command line."""

    passes: tuple[PassCall, ...]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def identity(self) -> dict[str, Any]:
        """What an artifact's bytes depend on: plain JSON."""
        return {"passes": [[call.name, dict(call.options)] for call in self.passes]}


def recipe_names() -> list[str]:
    """The recipes that come with the compiler."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def read_recipe(name: str) -> RecipeFile:
    """The recipe of this name, or in this file. `UsageError` says what is wrong with it."""
    known = recipe_names()
    path = _FOLDER / f"{name}.yaml" if name in known else Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        near = get_close_matches(name, known, n=1) or known
        raise UsageError(
            f"--recipe {name} is neither a file that can be read nor one of {', '.join(near)}"
        ) from error
    try:
        return parse_recipe(text)
    except UsageError as error:
        raise UsageError(f"--recipe {name}: {error}") from error


def parse_recipe(text: str) -> RecipeFile:
    """The recipe that a text says."""
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UsageError("give passes and options by name, as in `passes: [simplify]`")
    body = {str(key): value for key, value in cast("dict[object, Any]", content).items()}
    entries = body.pop("passes", [USUAL])
    if not isinstance(entries, list):
        raise UsageError(f"passes is {entries!r}: give a list")
    unknown = [key for key in body if key not in OPTIONS]
    if unknown:
        raise UsageError(f"no option {', '.join(unknown)}: there are {', '.join(OPTIONS)}")
    return RecipeFile(tuple(_call(entry) for entry in cast("list[object]", entries)), body)


def _call(entry: object) -> PassCall:
    """`name`, or `name: {field: value}`."""
    match entry:
        case str() as name:
            call = PassCall(name)
        case dict() if len(cast("dict[object, object]", entry)) == 1:
            ((name, options),) = cast("dict[object, object]", entry).items()
            if not isinstance(options, dict | None):
                raise UsageError(f"{name}: {options!r} are no options: give {{name: value}}")
            call = PassCall(str(name), cast("dict[str, Any]", options or {}))
        case _:
            raise UsageError(f"{entry!r} is no pass: give a name, or name: {{option: value}}")
    if call.name not in (USUAL, *PASSES):
        near = get_close_matches(call.name, PASSES, n=2) or [USUAL, *PASSES]
        raise UsageError(f"no pass {call.name!r}: did you mean {' or '.join(near)}?")
    if call.name == USUAL and call.options:
        raise UsageError(f"{USUAL} has no options")
    return call
