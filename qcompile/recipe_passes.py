"""The passes that a recipe names, built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from importlib import import_module

from qcompile.errors import UsageError
from qcompile.passes import PASSES
from qcompile.passes.base import Pass
from qcompile.recipe_file import USUAL, PassCall, RecipeFile
from qcompile.stages import SIMPLIFY


def passes_of(recipe: RecipeFile, context: Mapping[str, object]) -> tuple[Pass, ...]:
    """The passes, built. Fields that a recipe does not set and `context` has come from there:
    samples, threads, seed."""
    found: list[Pass] = []
    for call in recipe.passes:
        found += SIMPLIFY.passes if call.name == USUAL else [_built(call, context)]
    return tuple(found)


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
