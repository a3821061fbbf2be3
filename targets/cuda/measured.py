"""Times measured on a chip, which say more than any model.

A table is a JSON file: chip, device, date, driver and clock of the measurement, and rows of work,
tile, splits → milliseconds and their spread.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from qcompile.errors import ArtifactError, UsageError
from qcompile.targets.cuda.devices import Chip
from qcompile.targets.cuda.tiles import Tile
from qcompile.targets.cuda.work import Work


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One kernel's median `milliseconds` and their `spread`: greatest less least, over median."""

    work: str
    tile: str
    splits: int
    milliseconds: float
    spread: float


@dataclass(frozen=True)
class MeasuredTable:
    """What was measured on one `chip`; `device` and `driver` as they call themselves."""

    chip: str
    device: str
    date: str
    driver: str
    clock_mhz: int
    rows: tuple[Row, ...]

    def find(self, work: Work, *, tile: Tile, splits: int) -> float | None:
        """Milliseconds of exactly this kernel, if measured."""
        return self._times.get((work.name, tile.name, splits))

    @cached_property
    def _times(self) -> Mapping[tuple[str, str, int], float]:
        return {(row.work, row.tile, row.splits): row.milliseconds for row in self.rows}


def read_measured(path: Path, *, chip: Chip) -> MeasuredTable:
    """`ArtifactError` for a file that is no such table, `UsageError` for one of another chip."""
    try:
        table = _table(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path} is not a table of measured times: {error!r}") from error
    if table.chip != chip.name:
        raise UsageError(
            f"{path} was measured on {table.chip} ({table.device}), the target is {chip.name}: "
            "times of one chip say nothing of another; give a table of this chip or none"
        )
    return table


def write_measured(path: Path, table: MeasuredTable) -> None:
    """Rows in order, so that the same table is the same bytes."""
    content = asdict(table) | {"rows": [asdict(row) for row in sorted(table.rows)]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _table(content: Any) -> MeasuredTable:
    rows = tuple(_row(row) for row in content["rows"])
    counts = Counter((row.work, row.tile, row.splits) for row in rows)
    twice = [key for key, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"measured twice: {twice}")
    return MeasuredTable(**_facts(MeasuredTable, content), rows=rows)


def _row(content: Any) -> Row:
    row = Row(**_facts(Row, content))
    if not row.milliseconds > 0:
        raise ValueError(f"{row.work} {row.tile}: {row.milliseconds} milliseconds")
    return row


def _facts(kind: type[MeasuredTable | Row], content: Any) -> dict[str, Any]:
    """The fields that are words or numbers, each of its type."""
    facts: dict[str, Any] = {}
    for name, wanted in ((f.name, _KINDS[str(f.type)]) for f in fields(kind) if f.name != "rows"):
        facts[name] = content[name]
        if not isinstance(facts[name], wanted):
            raise TypeError(f"{name} is {facts[name]!r}")
    return facts


_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
}
