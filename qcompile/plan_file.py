"""The plan file: JSON with one line for each choice, made to be read and edited."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn, cast

from qcompile.errors import QcompileError, UsageError
from qcompile.ir.widths import Widths, parse_widths
from qcompile.plan_choices import FLOAT, Front, Plan, PlannedChoice, Solved

FORMAT, VERSION = "qcompile plan", 1


def write_plan(plan: Plan, path: Path) -> None:
    """The same plan gives the same bytes."""
    path.write_text(plan_text(plan), encoding="utf-8")


def read_plan(path: Path) -> Plan:
    """The plan in a file. `UsageError` says where it is not one."""
    try:
        return parse_plan(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--plan {path} cannot be read: {error}") from error
    except UsageError as error:
        raise UsageError(f"--plan {path}: {error}") from error


def plan_text(plan: Plan) -> str:
    """The file's text: `parse_plan` gives the same plan back."""
    head: dict[str, Any] = {"format": FORMAT, "version": VERSION, "model": plan.model}
    if plan.solved is not None:
        spent = plan.solved.limits.items()
        head["solver"] = {
            "objective": plan.solved.objective,
            "gap": plan.solved.gap,
            "limits": {name: {"used": used, "limit": limit} for name, (used, limit) in spent},
        }
    if plan.estimator is not None:
        head["estimator"] = plan.estimator
    if plan.front is not None:
        head["front"] = front_entry(plan.front)
    lines = [f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items()]
    choices = ",\n".join(f"  {json.dumps(_entry(choice))}" for choice in plan.choices)
    return "{\n" + "".join(lines) + f' "choices": [\n{choices}\n ]\n}}\n'


def parse_plan(text: str) -> Plan:
    """The plan behind `plan_text`; of an entry only `node` and `widths` must be there."""
    try:
        content = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise UsageError(f"not JSON in line {error.lineno}: {error.msg}") from error
    body = _object(content, "the plan")
    if body.get("format") != FORMAT:
        raise UsageError(f"not a plan: its format is {body.get('format')!r}, not {FORMAT!r}")
    if body.get("version") != VERSION:
        raise UsageError(
            f"a plan of version {body.get('version')!r}: this qcompile reads {VERSION}"
        )
    model = body.get("model")
    if not isinstance(model, str):
        raise UsageError(f"model is {model!r}: give the digest of the model")
    entries = body.get("choices")
    if not isinstance(entries, list):
        raise UsageError(f"choices is {entries!r}: give a list")
    solved = _solved(body["solver"]) if "solver" in body else None
    choices = tuple(_choice(entry) for entry in cast("list[object]", entries))
    front = _front(body["front"]) if "front" in body else None
    return Plan(model, choices, solved, _text(body.get("estimator"), "estimator"), front)


def front_entry(front: Front) -> dict[str, Any]:
    """A front as an object."""
    uniform = {name: list(point) for name, point in front.uniform.items()}
    return {"on": front.on, "points": [list(point) for point in front.points], "uniform": uniform}


def _entry(choice: PlannedChoice) -> dict[str, Any]:
    """One choice as an object."""
    return {
        "node": choice.node,
        "widths": FLOAT if choice.widths is None else str(choice.widths),
        "damage": choice.damage,
        "costs": dict(choice.costs),
        "reason": choice.reason,
    }


def _choice(entry: object) -> PlannedChoice:
    """One object as a choice."""
    found = _object(entry, "a choice")
    node = found.get("node")
    if not isinstance(node, str) or not node:
        raise UsageError(f"node is {node!r}: give the name of a contraction")
    unknown = [key for key in found if key not in _entry(PlannedChoice("", None))]
    if unknown:
        raise UsageError(f"{node}: a choice has no {', '.join(unknown)}")
    costs = _object(found.get("costs", {}), f"{node}: costs")
    reason = found.get("reason", "")
    if not isinstance(reason, str):
        raise UsageError(f"{node}: reason is {reason!r}: give text")
    return PlannedChoice(
        node,
        _widths(node, found.get("widths")),
        _number(found.get("damage", 0.0), f"{node}: damage"),
        {name: _number(cost, f"{node}: {name}") for name, cost in costs.items()},
        reason,
    )


def _widths(node: str, text: object) -> Widths | None:
    """`W4A8`, or None for `float`."""
    if text == FLOAT:
        return None
    if not isinstance(text, str):
        raise UsageError(f"{node}: widths is {text!r}: give such as W4A8, or {FLOAT}")
    try:
        return parse_widths(text)
    except QcompileError as error:
        raise UsageError(f"{node}: widths: {str(error).removeprefix('--scheme ')}") from error


def _solved(value: object) -> Solved:
    """The solver's facts."""
    found = _object(value, "solver")
    limits = _object(found.get("limits", {}), "solver: limits")
    spent: dict[str, tuple[float, float]] = {}
    for name, entry in limits.items():
        use = _object(entry, f"solver: {name}")
        spent[name] = (
            _number(use.get("used"), f"solver: {name} used"),
            _number(use.get("limit"), f"solver: {name} limit"),
        )
    return Solved(
        _number(found.get("objective"), "solver: objective"),
        _number(found.get("gap"), "solver: gap"),
        spent,
    )


def _front(value: object) -> Front:
    """The choices around this one."""
    found = _object(value, "front")
    on, points = found.get("on"), found.get("points")
    if not isinstance(on, str) or not isinstance(points, list):
        raise UsageError("front: give on, a name, and points, a list")
    uniform = _object(found.get("uniform", {}), "front: uniform")
    return Front(
        on,
        tuple(_point(point, "front") for point in cast("list[object]", points)),
        {name: _point(point, f"front: {name}") for name, point in uniform.items()},
    )


def _point(value: object, what: str) -> tuple[float, float]:
    """What is used, and the damage."""
    pair = cast("list[object]", value) if isinstance(value, list) else []
    if len(pair) != 2:
        raise UsageError(f"{what}: {value!r} is no point: give [used, damage]")
    return _number(pair[0], what), _number(pair[1], what)


def _text(value: object, what: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{what} is {value!r}: give a name")
    return value


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise UsageError(f"{what} is {value!r}: give an object")
    return cast("dict[str, object]", value)


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise UsageError(f"{what} is {value!r}: give a finite number")
    return float(value)


def _no_number(text: str) -> NoReturn:
    raise UsageError(f"{text} in the plan: give finite numbers")
