"""The latency table: what kernels take on one device, as a file that can be trusted or refused."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any, cast

from qcompile.errors import ArtifactError, UsageError
from qcompile.targets.steps import Kernel

FORMAT, VERSION = "qcompile latency table", 1


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One kernel: its code's name, its sort of loops, how much it computes and touches, and the
    median `milliseconds` of a call, with `spread`: greatest less least, over the median.

    A kernel that a program calls in several places has the mean of these.
    """

    kernel: str
    kind: str
    macs: int
    traffic: int
    milliseconds: float
    spread: float

    @property
    def of(self) -> Kernel:
        """The kernel that was measured."""
        return Kernel(self.kernel, self.kind, self.macs, self.traffic)


@dataclass(frozen=True)
class LatencyTable:
    """Rows and what they hold for. `clock` in words, since most machines do not tell all of it.

    `call`: milliseconds that a run costs beside its steps. `emulated`: not measured on the device,
    so for tests alone.
    """

    target: str
    device: str
    threads: int
    date: str
    clock: str
    qcompile: str
    rounds: int
    call: float
    emulated: bool
    rows: tuple[Row, ...]


def write_table(path: Path, table: LatencyTable) -> None:
    """Rows in order, a row a line; written beside and moved into place."""
    head = {"format": FORMAT, "version": VERSION} | {
        f.name: getattr(table, f.name) for f in fields(table) if f.name != "rows"
    }
    lines = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
    rows = ",\n".join(f"  {json.dumps(asdict(row))}" for row in sorted(table.rows))
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text("{\n" + lines + f' "rows": [\n{rows}\n ]\n}}\n', encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def read_table(path: Path) -> LatencyTable:
    """`ArtifactError` for a file that is no such table: which entry is wrong, and how."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _table(content)
    except OSError as error:
        raise ArtifactError(f"no latency table at {path}: {error.strerror or error}") from error
    except KeyError as error:
        raise ArtifactError(f"{path} is no latency table: it has no {error}") from error
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is no latency table: {error}") from error


def require_fits(
    table: LatencyTable, path: Path, *, target: str, device: str, threads: int
) -> None:
    """`UsageError` for times of another target, device or number of threads, and for emulated ones.

    `device` is empty where the target does not run on this machine: then the table's word counts.
    """
    remedy = f"measure with `qcompile profile MODEL --target {target}`"
    if table.emulated:
        raise UsageError(f"{path} was measured on an emulator ({table.device}): {remedy}")
    if table.target != target:
        raise UsageError(f"{path} holds times of {table.target}, the target is {target}: {remedy}")
    if device and table.device != device:
        raise UsageError(
            f"{path} was measured on {table.device}, this is {device}: times of one device say "
            f"nothing of another; {remedy}"
        )
    if table.threads != threads:
        raise UsageError(
            f"{path} was measured with {table.threads} threads, this run has {threads}: give "
            f"--threads {table.threads}, or {remedy} --threads {threads}"
        )


def _table(content: Any) -> LatencyTable:
    if not isinstance(content, dict) or "format" not in content or content["format"] != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    entries = cast("dict[str, Any]", content)
    if entries["version"] != VERSION:
        raise ValueError(f"version {entries['version']!r}: this qcompile reads {VERSION}")
    rows = tuple(_row(i, row) for i, row in enumerate(entries["rows"]))
    counts = Counter(row.kernel for row in rows)
    twice = [kernel for kernel, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"kernels with more than one row: {', '.join(twice)}")
    if not rows:
        raise ValueError("it has no rows")
    table = LatencyTable(**_facts(LatencyTable, entries, "the table"), rows=rows)
    if table.threads < 1 or table.rounds < 1 or table.call < 0:
        raise ValueError("threads and rounds are 1 or more, call is not negative")
    return table


def _row(number: int, content: Any) -> Row:
    row = Row(**_facts(Row, content, f"row {number}"))
    if not row.milliseconds > 0 or row.macs < 1 or row.traffic < 0 or row.spread < 0:
        raise ValueError(f"row {number} ({row.kernel}): its numbers are out of range")
    return row


def _facts(kind: type[LatencyTable | Row], content: Any, where: str) -> dict[str, Any]:
    """The fields that are words or numbers, each of its type and finite."""
    if not isinstance(content, dict):
        raise TypeError(f"{where} is {content!r}")
    entries = cast("dict[str, Any]", content)
    facts: dict[str, Any] = {}
    for field in fields(kind):
        if field.name == "rows":
            continue
        value = entries[field.name]
        wanted = _KINDS[str(field.type)]
        fits = isinstance(value, wanted) and (isinstance(value, bool) == (wanted is bool))
        if not fits or (isinstance(value, float) and not isfinite(value)):
            raise TypeError(f"{field.name} of {where} is {value!r}")
        facts[field.name] = value
    return facts


_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
}
