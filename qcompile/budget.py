"""What `--budget` says: limits on size, latency, bit operations and memory, each with a unit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Context
from difflib import get_close_matches
from fractions import Fraction

from qcompile.errors import UsageError

_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_IN_TWOS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

UNITS: Mapping[str, Mapping[str, Fraction]] = {
    "size": {unit: Fraction(size) for unit, size in (_BYTES | _IN_TWOS).items()},
    "latency": {"ns": Fraction(1, 10**6), "us": Fraction(1, 10**3), "ms": Fraction(1)}
    | {"s": Fraction(10**3)},
    "bops": {unit: Fraction(size) for unit, size in {"M": 10**6, "G": 10**9, "T": 10**12}.items()},
    "ram": {unit: Fraction(size) for unit, size in (_BYTES | _IN_TWOS).items()},
}
"""The size of each unit in bytes, milliseconds or bit operations."""

_ENDLESS = 10**30
_VALUE = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,2})?)\s*([^\W\d]\w*|)")


def parse_budget(text: str) -> dict[str, float]:
    """`size=8MB,latency=5ms,bops=70G,ram=256KB` → bytes, milliseconds, bit operations, bytes.

    KB, MB and GB count in thousands, KiB, MiB and GiB in 1024s. `UsageError` for a limit without
    unit, a name or unit that is not known, one given twice, and for what is not above 0.
    """
    found: dict[str, float] = {}
    for entry in text.split(","):
        name, equals, value = (part.strip() for part in entry.partition("="))
        if name not in UNITS or not equals:
            raise UsageError(f"--budget {text}: {_unknown(entry.strip(), name, equals)}")
        if name in found:
            raise UsageError(f"--budget {text}: {name} is given twice")
        found[name] = _amount(name, value)
    return found


def parse_drop(text: str) -> float:
    """`1%` → 0.01. `UsageError` for what is not a percentage from 0 to 100."""
    parts = _VALUE.fullmatch(text.strip().removesuffix("%"))
    if not text.strip().endswith("%") or parts is None or parts[2]:
        raise UsageError(f"--max-drop {text}: give a percentage, such as 1%")
    drop = float(Fraction(parts[1]) / 100)
    if not 0 <= drop <= 1:
        raise UsageError(f"--max-drop {text}: give 0% to 100%")
    return drop


def show_limit(name: str, value: float) -> str:
    """A limit as `--budget` takes it, rounded up to six digits, in the largest unit it fills."""
    units = {unit: size for unit, size in UNITS[name].items() if unit not in _IN_TWOS}
    filled = [unit for unit, size in units.items() if size <= value] or [next(iter(units))]
    amount = float(Fraction(value) / units[filled[-1]])
    digits = Context(prec=6, rounding=ROUND_CEILING).create_decimal(repr(amount))
    return f"{name}={digits.normalize():f}{filled[-1]}"


def _amount(name: str, text: str) -> float:
    """A number and its unit."""
    units = UNITS[name]
    parts = _VALUE.fullmatch(text)
    if parts is None:
        raise UsageError(f"--budget {name}={text}: give a number and a unit, such as {_like(name)}")
    number, unit = parts.groups()
    if not unit:
        raise UsageError(f"--budget {name}={text} has no unit: give one of {', '.join(units)}")
    if unit not in units:
        raise UsageError(f"--budget {name}={text}: no unit {unit}: give one of {', '.join(units)}")
    amount = Fraction(number) * units[unit]
    if not 0 < amount < _ENDLESS:
        raise UsageError(
            f"--budget {name}={text}: give more than 0 and less than 10^30, such as {_like(name)}"
        )
    return float(amount)


def _unknown(entry: str, name: str, equals: str) -> str:
    """What is wrong with an entry that names no limit."""
    if not equals:
        return f"{entry or 'nothing'} is no limit: give such as {_like('size')}"
    near = get_close_matches(name, UNITS, n=1)
    hint = f": did you mean {near[0]}?" if near else f": give {', '.join(UNITS)}"
    return f"no limit {name}{hint}"


def _like(name: str) -> str:
    """An example."""
    return {"size": "8MB", "latency": "5ms", "bops": "70G", "ram": "256KB"}[name]
