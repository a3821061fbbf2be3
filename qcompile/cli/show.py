"""Results for people: tables on standard output; and for programs: one JSON object."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

from qcompile.budget import show_limit

Facts = Mapping[str, Any]

FEW = 3  # instructions that fit one line


def print_json(value: Facts) -> None:
    """One object; numbers that JSON cannot hold become null."""
    print(json.dumps(finite(value), indent=1))


def finite(value: Any) -> Any:
    """The same with null for NaN and infinity."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {k: finite(v) for k, v in cast("Facts", value).items()}
        case list() | tuple():
            return [finite(v) for v in cast("Sequence[Any]", value)]
        case _:
            return value


def print_summary(summary: Facts, *, verbose: bool) -> None:
    """The compilation at a glance; low coverage is loud."""
    coverage, size = summary["coverage"], summary["size"]
    _pairs(
        [
            ("model", f"{summary['model']['path']}, {count(summary['model']['parameters'])} "
             f"parameters, {count(summary['model']['macs'])} MACs"),
            ("target", f"{summary['target']}, {_scheme(summary['scheme'], summary['bits'])}"),
            ("calibration", _calibration(summary["calibration"])),
            ("coverage", _coverage(coverage)),
            ("size", f"weights {amount(size['weight_bytes'])} of {amount(size['float_bytes'])} in "
             f"float, artifact {amount(size['artifact_bytes'])}"),
            ("quality", ", ".join(f"{name} {db:.1f} dB" for name, db in
                                  summary["quality"]["sqnr_db"].items())),
            *_drop(summary["quality"]["drop"]),
            ("integer only", "yes" if summary["integer_only"] else "no"),
            ("verified", summary["proof"]),
            ("digest", summary["digest"]),
            ("artifact", summary["artifact"]),
            ("took", f"{summary['seconds']:.1f} s, {amount(summary['peak_rss_bytes'])} of memory"),
        ]
    )  # fmt: skip
    _islands(coverage["float_islands"], len(coverage["float_islands"]) if verbose else 5)
    worst = summary["quality"]["worst_layers"]
    if worst:
        rows = [(w["node"], f"{w['sqnr_db']:.1f}", w["cause"], w["cure"]) for w in worst]
        print()
        table(("worst layers", "dB", "cause", "cure"), rows if verbose else rows[:3])
    if verbose:
        _exceptions(summary["bits"]["exceptions"], summary["scheme"])
        rows = [(p["name"], f"{p['seconds']:.3f}", str(p["changed"])) for p in summary["passes"]]
        print()
        table(("pass", "seconds", "new nodes"), rows)


def _drop(found: Facts | None) -> list[tuple[str, str]]:
    """What is lost by a metric, where that was measured."""
    if found is None:
        return []
    bound = "" if found["bound"] is None else f", {found['bound']:.2%} allowed"
    lost = f"{found['metric']} by {found['value']:.2%} on {found['samples']} samples{bound}"
    return [("drop", lost)]


def _scheme(scheme: str, found: Facts) -> str:
    """The scheme, and what share of the work has which widths where they are mixed."""
    macs = found["macs"]
    if len(macs) < 2:
        return scheme
    total = sum(macs.values())
    return f"{scheme}: MACs {', '.join(f'{share(n, total)} {w}' for w, n in macs.items())}"


def _calibration(found: Facts) -> str:
    remark = found.get("remark", "")
    if found["source"] == "data-free":
        return f"data-free: {remark.removeprefix('no calibration data: ')}"
    used = f"{found['source']}, {found['samples']} samples"
    return f"{used} ({remark})" if remark else used


def _coverage(found: Facts) -> str:
    ops, total = found["ops_integer"], found["ops_total"]
    text = f"{ops} of {total} operations and {share(found['macs_integer'], found['macs_total'])} "
    text += "of the MACs in integers"
    macs = found["macs_total"]
    low = 2 * found["macs_integer"] < macs if macs else 2 * ops < total
    return f"{text}: LOW COVERAGE, most of this model stays in float" if low else text


def _islands(islands: Sequence[Facts], shown: int) -> None:
    if not islands:
        return
    print()
    table(("float island", "why"), [(i["node"], i["why"]) for i in islands[:shown]])
    if len(islands) > shown:
        print(f"... and {len(islands) - shown} more; --verbose lists all")


def _exceptions(found: Sequence[Facts], scheme: str) -> None:
    rows = [(e["node"], e["widths"], e["why"]) for e in found if e["widths"] != scheme]
    if rows:
        print()
        table((f"not {scheme}", "widths", "why"), rows)


def print_front(found: Facts, folder: str) -> None:
    """A front's points, then one width for all layers."""
    on, points = found["on"], found["points"]
    rows = [(p["plan"], p) for p in points] + [(n, p) for n, p in found["uniform"].items()]
    drop = () if found["metric"] is None else (f"drop by {found['metric']}",)
    head = ("plan, or one width for all", on, "damage", *drop)
    table(head, [_front_row(name, on, point) for name, point in rows], right=(1, 2, 3))
    print(f"written to {folder}")


def _front_row(name: str, on: str, point: Facts) -> tuple[str, ...]:
    used = show_limit(on, point["used"][on]).partition("=")[2]
    drop = () if point["drop"] is None else (f"{point['drop']:.2%}",)
    return name, used, f"{point['damage']:.4g}", *drop


def print_model(found: Facts) -> None:
    """What `inspect` found."""
    ports = [
        *((f"input {i['name']}", f"{i['dtype']} {i['shape']}") for i in found["inputs"]),
        *((f"output {o['name']}", f"{o['dtype']} {o['shape']}") for o in found["outputs"]),
    ]
    _pairs(
        [
            ("model", found["name"]),
            ("parameters", f"{count(found['parameters'])}, {amount(found['parameter_bytes'])}"),
            ("MACs", count(found["macs"]) + ("" if found["static"] else " (open lengths as 1)")),
            *ports,
        ]
    )
    rows = [
        (o["op"], str(o["count"]), count(o["parameters"]), count(o["macs"]), o["form"])
        for o in found["ops"]
    ]
    print()
    table(("operation", "count", "parameters", "MACs", "integer form"), rows, right=(1, 2, 3))
    rows = [
        (t["name"], f"{t['ops_integer']} of {found['operations']}",
         share(t["macs_integer"], found["macs"]), t["remark"])
        for t in found["targets"]
    ]  # fmt: skip
    print()
    table(("target", "operations", "MACs", ""), rows, right=(1, 2))
    for remark in found["remarks"]:
        print(remark)


def print_targets(found: Facts) -> None:
    """One row for each target; then what is native, emulated or absent, chip by chip."""
    targets = found["targets"]
    rows = [(t["name"], t["state"], _arithmetic(t), t["summary"]) for t in targets]
    table(("target", "state", "instructions", "what it is"), rows)
    kinds: dict[tuple[str, ...], list[Facts]] = {}
    for one in targets:
        if len(one["instructions"]) > FEW:
            kinds.setdefault(tuple(one["instructions"]), []).append(one)
    for names, group in kinds.items():
        chips: dict[tuple[str, ...], list[str]] = {}
        for one in group:
            chip = one["name"].rpartition("-")[0] or one["name"]
            told = chips.setdefault(tuple(one["instructions"].values()), [])
            told += [] if chip in told else [chip]
        print()
        rows = [(name, *(values[i] for values in chips)) for i, name in enumerate(names)]
        table(("instruction", *(", ".join(told) for told in chips.values())), rows)


def _arithmetic(target: Facts) -> str:
    """The instructions, where they are few."""
    return "see below" if len(target["instructions"]) > FEW else str(target["arithmetic"])


def print_passes(found: Facts) -> None:
    """One row for each pass."""
    rows = [
        (p["name"], p["what"], ", ".join(p["requires"]), ", ".join(p["gives"]), p["keeps"])
        for p in found["passes"]
    ]
    table(("pass", "what", "requires", "gives", "keeps the meaning"), rows)


def print_explained(found: Facts) -> None:
    """Where a pass fired and where not."""
    for turn in found["turns"]:
        print(f"{found['pass']}, turn {turn['turn']}: fired at {len(turn['fired'])} nodes")
        if turn["fired"]:
            table(("fired at", "became"), [(f["node"], f["became"]) for f in turn["fired"]])
        if turn["idle"]:
            print()
            table(("did not fire at", "reads", "read by"),
                  [(i["node"], i["reads"], i["readers"]) for i in turn["idle"]])  # fmt: skip
        print()


def print_doctor(found: Facts) -> None:
    """What is there and what is not."""
    _pairs([(name, str(value)) for name, value in found["machine"].items()])
    rows = [(p["name"], p["found"] or "missing", p["gives"]) for p in found["pieces"]]
    print()
    table(("piece", "found", "what it is for"), rows)
    for remark in found["remarks"]:
        print(remark)


def print_bench(found: Facts) -> None:
    """Medians, spread and ratios."""
    rows = [
        (str(r["threads"]), r["contender"], f"{r['median_ms']:.3f}",
         f"{r['low_ms']:.3f} to {r['high_ms']:.3f}",
         "-" if r["ratio"] is None else f"{r['ratio']:.2f}")
        for r in found["results"]
    ]  # fmt: skip
    print(f"{found['device']}, {found['rounds']} alternating rounds, one process each")
    table(
        ("threads", "contender", "median ms", "rounds", "its time / artifact's"),
        rows,
        right=(0, 2, 4),
    )
    for remark in found["remarks"]:
        print(remark)


def count(number: int) -> str:
    """11689512 → 11.7 M."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def amount(size: int) -> str:
    """Bytes in the unit that reads best."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"


def share(part: int, whole: int) -> str:
    """A percentage that says 100 % only for all."""
    if whole == 0:
        return "-"
    text = f"{100 * part / whole:.1f} %"
    return "99.9 %" if text == "100.0 %" and part < whole else text


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Columns under a head; on a terminal folded to its width, in a pipe one line a row."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    terminal = sys.stdout.isatty()
    console = Console(
        file=sys.stdout, markup=False, highlight=False, width=None if terminal else 10_000
    )
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, title in enumerate(head):
        drawn.add_column(title, justify="right" if index in right else "left", overflow="fold",
                         no_wrap=not terminal)  # fmt: skip
    for row in rows:
        drawn.add_row(*row)
    console.print(drawn)


def _pairs(rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
