"""A network's traces, errors and costs, in the form in which HAWQ-V3 published them → Problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, isfinite
from typing import Any, Literal, cast

from qcompile.errors import UsageError
from qcompile.passes.assignment.problem import FLOAT_BITS, Layer, Limit, Option, Problem, Tie

Resource = Literal["size", "bops", "latency"]

_KEYS = {"size": "parameters", "bops": "bops", "latency": "latency_ms"}


def problem_from_dict(
    data: Mapping[str, Any], limit_on: Resource = "size", fraction: float = 0.5
) -> Problem:
    """The problem in `data`, under one limit.

    `bits` lists the widths to choose from. For each layer in forward order there are `trace`,
    `w_err` by width, and at least what is limited: `parameters`, `bops` at 32 x 32 bits, or
    `latency_ms` by width. `ties` lists groups of layers, by position, that get the same bits.

    - damage = trace · w_err at the chosen bits, size = parameters · bits / 8,
      bops = bops · (bits / 32)²
    - limit = low + fraction · (high - low), where low is what all layers cost at the fewest bits,
      high at the most
    """
    if limit_on not in _KEYS:
        raise UsageError(f"limit_on {limit_on!r}: give one of {', '.join(_KEYS)}")
    if not 0 <= fraction <= 1:
        raise UsageError(f"fraction {fraction}: give 0 (fewest bits) to 1 (most bits)")
    bits = _bits(data)
    trace = _numbers(_field(data, "trace"), "trace")
    count = len(trace)
    errors = _by_width(data, "w_err", bits, count)
    costs = {name: _costs(data, name, bits, count) for name, key in _KEYS.items() if key in data}
    if limit_on not in costs:
        raise UsageError(f"the data lacks {_KEYS[limit_on]!r}, which a limit on {limit_on} needs")
    layers = tuple(
        Layer(f"layer {i}", tuple(_option(i, b, trace[i], errors, costs) for b in bits))
        for i in range(count)
    )
    low, high = fsum(costs[limit_on][bits[0]]), fsum(costs[limit_on][bits[-1]])
    limit = Limit(limit_on, low + fraction * (high - low))
    return Problem(layers, (limit,), _ties(data, count))


_Table = Mapping[int, Sequence[float]]


def _option(
    layer: int, bits: int, trace: float, errors: _Table, costs: Mapping[str, _Table]
) -> Option:
    """One layer at one width."""
    spent = {name: table[bits][layer] for name, table in costs.items()}
    return Option(str(bits), bits, trace * errors[bits][layer], spent)


def _costs(data: Mapping[str, Any], name: str, bits: Sequence[int], count: int) -> _Table:
    """What each layer costs at each width."""
    if name == "latency":
        return _by_width(data, _KEYS[name], bits, count)
    whole = _numbers(data[_KEYS[name]], _KEYS[name], count=count, least=0.0)
    if name == "size":
        return {b: [value * b / 8 for value in whole] for b in bits}
    return {b: [value * b * b / FLOAT_BITS**2 for value in whole] for b in bits}


def _bits(data: Mapping[str, Any]) -> tuple[int, ...]:
    """The widths, ascending."""
    found = _list(_field(data, "bits"), "bits")
    wrong = [b for b in found if type(b) is not int or not 1 <= b <= FLOAT_BITS]
    if wrong or not found:
        raise UsageError(f"bits {found}: give whole numbers from 1 to {FLOAT_BITS}")
    if len(set(found)) < len(found):
        raise UsageError(f"bits {found}: give each width once")
    return tuple(sorted(found))


def _by_width(data: Mapping[str, Any], key: str, bits: Sequence[int], count: int) -> _Table:
    """A list of numbers for each width; JSON has widths as text."""
    table = _field(data, key)
    if not isinstance(table, Mapping):
        raise UsageError(f"{key} is {_shown(table)}: give a list of numbers for each of the bits")
    known = {str(width): value for width, value in cast("Mapping[object, object]", table).items()}
    lacking = [str(b) for b in bits if str(b) not in known]
    if lacking:
        raise UsageError(f"{key} lacks {', '.join(lacking)} bits: it has {', '.join(known)}")
    return {b: _numbers(known[str(b)], f"{key} at {b} bits", count=count, least=0.0) for b in bits}


def _numbers(
    value: object, key: str, *, count: int | None = None, least: float | None = None
) -> list[float]:
    """Finite numbers, as many as there are layers."""
    found = _list(value, key)
    if count is not None and len(found) != count:
        raise UsageError(f"{key} has {len(found)} entries, trace has {count}: give one a layer")
    for place, entry in enumerate(found):
        if isinstance(entry, bool) or not isinstance(entry, int | float) or not isfinite(entry):
            raise UsageError(f"{key} of layer {place} is {_shown(entry)}: give a finite number")
        if least is not None and entry < least:
            raise UsageError(f"{key} of layer {place} is {entry}: give {least:g} or more")
    return [float(entry) for entry in found]


def _ties(data: Mapping[str, Any], count: int) -> tuple[Tie, ...]:
    """The groups; none when the data has no ties."""
    found: list[Tie] = []
    for group in _list(data.get("ties", ()), "ties"):
        places = _list(group, "a group in ties")
        wrong = [p for p in places if type(p) is not int or not 0 <= p < count]
        if wrong:
            raise UsageError(f"ties {places}: give positions of layers, 0 to {count - 1}")
        found.append(Tie(tuple(places)))
    return tuple(found)


def _field(data: Mapping[str, Any], key: str) -> object:
    if key not in data:
        raise UsageError(f"the data lacks {key!r}: it has {', '.join(map(str, data)) or 'nothing'}")
    return data[key]


def _list(value: object, key: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise UsageError(f"{key} is {_shown(value)}: give a list")
    return list(cast("list[Any] | tuple[Any, ...]", value))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
