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
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from qcompile.errors import UsageError
from qcompile.passes import PASSES
from qcompile.passes.base import Pass
from qcompile.stages import SIMPLIFY

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


def passes_of(recipe: RecipeFile, context: Mapping[str, object]) -> tuple[Pass, ...]:
    """The passes, built. Fields that a recipe does not set and `context` has come from there:
    samples, threads, seed."""
    found: list[Pass] = []
    for call in recipe.passes:
        found += SIMPLIFY.passes if call.name == USUAL else [_built(call, context)]
    return tuple(found)


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


def _built(call: PassCall, context: Mapping[str, object]) -> Pass:
    module, attribute = PASSES[call.name].split(":")
    kind: type[Pass] = getattr(import_module(module), attribute)
    own = {f.name: f for f in fields(kind) if f.init}
    unknown = [name for name in call.options if name not in own or name in context]
    if unknown:
        known = ", ".join(name for name in own if name not in context) or "none"
        raise UsageError(f"{call.name} has no option {', '.join(unknown)}: it has {known}")
    for name, value in call.options.items():
        _require_kind(f"{call.name}: {name}", value, own[name].default)
    given = {name: value for name, value in context.items() if name in own}
    missing = [
        name
        for name, one in own.items()
        if one.default is MISSING and one.default_factory is MISSING
        and name not in (*given, *call.options)
    ]  # fmt: skip
    if missing:
        raise UsageError(f"{call.name} cannot stand in a recipe: it needs {', '.join(missing)}")
    return kind(**given, **call.options)


def _require_kind(where: str, value: object, default: object) -> None:
    """The value has the type of the field's default; a whole number serves as a real."""
    if default is MISSING or default is None:
        return
    wanted = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool):
        raise UsageError(f"{where} is {value!r}: give a {type(default).__name__}")
