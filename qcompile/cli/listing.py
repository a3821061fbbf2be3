"""Verbs that list what there is: targets, passes."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from inspect import cleandoc
from typing import Any

from qcompile.inspect_model import target_or_why
from qcompile.passes import PASSES
from qcompile.passes.base import Pass
from qcompile.targets import NOT_YET, target_names


def list_targets() -> dict[str, Any]:
    """Every target by name: usable here, lacking something, or not built yet."""
    return {"targets": [*map(_target, target_names()), *map(_later, NOT_YET)]}


def _target(name: str) -> dict[str, Any]:
    place = target_or_why(name)
    if isinstance(place, str):
        return _row(name, place, state="unavailable")
    return _row(
        name,
        place.summary,
        state="emulated" if place.emulates else "ready",
        exact=place.exact,
        instructions=dict(place.instructions),
    )


def _later(name: str) -> dict[str, Any]:
    return _row(name, "not built yet", state="not yet")


def _row(
    name: str,
    summary: str,
    *,
    state: str,
    exact: bool | None = None,
    instructions: dict[str, str] | None = None,
) -> dict[str, Any]:
    known = instructions or {}
    arithmetic = ", ".join(f"{what}: {how}" for what, how in known.items())
    return {
        "name": name,
        "state": state,
        "exact": exact,
        "summary": summary,
        "instructions": known,
        "arithmetic": arithmetic,
    }


def list_passes() -> dict[str, Any]:
    """Every pass by name, with what it needs, gives and keeps."""
    return {"passes": list(_passes())}


def _passes() -> Iterator[dict[str, Any]]:
    for name, place in PASSES.items():
        source, _, attribute = place.partition(":")
        module = import_module(source)
        one: type[Pass] = getattr(module, attribute)
        yield {
            "name": name,
            "what": cleandoc(module.__doc__ or "").partition("\n\n")[0].replace("\n", " "),
            "requires": sorted(i.name for i in one.requires),
            "gives": sorted(i.name for i in one.gives),
            "keeps": one.keeps.value,
        }
