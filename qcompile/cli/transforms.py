"""What a recipe did to the weights, for people: changes, and streams that stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qcompile.cli.show import table

Facts = Mapping[str, Any]
SHOWN = 5  # sites without --verbose


def print_transforms(found: Facts, *, verbose: bool) -> None:
    """How many sites changed and how far the outputs moved; why sites were left as they are, what
    was taken back first; with `verbose` what was chosen at the others. Nothing without a recipe."""
    if not found["sites"]:
        return
    changed = [_row(one) for one in found["sites"] if one["choice"] != "none"]
    idle = [(_site(one), one["by"], one["reason"]) for one in _left_alone(found)]
    print(
        f"\nrotations and scales: {len(changed)} changes, {len(idle)} sites left as they are; "
        f"outputs differ from the model's by {found['bound']:.1e} of their norm"
    )
    _print(("left as it is", "pass", "why"), idle, None if verbose else SHOWN)
    if verbose:
        _print(("site", "pass", "choice", "error before", "after", ""), changed, None)


def _print(head: Sequence[str], rows: Sequence[Sequence[str]], shown: int | None) -> None:
    if not rows:
        return
    print()
    table(head, rows[:shown])
    if shown is not None and len(rows) > shown:
        print(f"... and {len(rows) - shown} more; --verbose lists all")


def _left_alone(found: Facts) -> Iterable[Facts]:
    """Those that nothing was tried at, what was taken back first."""
    idle = [one for one in found["sites"] if one["choice"] == "none" and not one["before"]]
    return sorted(idle, key=lambda one: bool(one["site"]))


def _site(one: Facts) -> str:
    return f"{one['site']} {one['role']}".strip()


def _row(one: Facts) -> tuple[str, ...]:
    errors = f"{one['before']:.3g}", f"{one['after']:.3g}"
    return _site(one), one["by"], one["choice"], *errors, one["reason"]
