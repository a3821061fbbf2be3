"""The report of an artifact: facts as JSON, and a page that needs nothing but itself.

Both are functions of the compilation alone: no time, no path and no thread count stands in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from qcompile.calibrate.statistics import Statistics
from qcompile.coverage import Coverage
from qcompile.errors import ArtifactError
from qcompile.front_chart import front_chart
from qcompile.ir.ops.quant import FakeQuant
from qcompile.ir.ops.source import Const
from qcompile.plan_choices import FLOAT, Plan
from qcompile.plan_file import front_entry
from qcompile.summary import OPTIMAL, Decided, Measured, constant_bytes
from qcompile.targets.base import Stages

FORMAT = 2
PAGE, FACTS = "report.html", "report.json"
BARS = 48
BYTES = ("size", "ram")  # resources


def write_report(
    folder: Path,
    manifest: Mapping[str, Any],
    stages: Stages,
    found: Coverage,
    measured: Measured,
    decided: Decided,
    passes: Sequence[Mapping[str, object]],
) -> None:
    """Writes `report.json` and `report.html` into the artifact's folder."""
    facts = report_facts(manifest, stages, found, measured, decided, passes)
    text = json.dumps(facts, indent=1)
    (folder / FACTS).write_text(text + "\n")
    (folder / PAGE).write_text(render(json.loads(text)))


def report_facts(
    manifest: Mapping[str, Any],
    stages: Stages,
    found: Coverage,
    measured: Measured,
    decided: Decided,
    passes: Sequence[Mapping[str, object]],
) -> dict[str, Any]:
    """All that the page shows, as plain JSON."""
    return {
        "format": FORMAT,
        "model": manifest["model"],
        "target": manifest["target"],
        "scheme": decided.scheme,
        "bits": decided.bits(found),
        "plan": plan_facts(decided.plan),
        "transforms": decided.turned.as_dict(),
        "options": manifest["options"],
        "tools": manifest["tools"],
        "calibration": manifest["calibration"],
        "inputs": manifest["inputs"],
        "outputs": manifest["outputs"],
        "integer_only": manifest["integer_only"],
        "coverage": {
            "ops_integer": found.ops_integer,
            "ops_total": found.ops_total,
            "macs_integer": found.macs_integer,
            "macs_total": found.macs_total,
            "float_islands": [{"node": n, "why": w} for n, w in found.islands.items()],
        },
        "size": {
            "float_bytes": constant_bytes(stages.real),
            "weight_bytes": constant_bytes(stages.integer),
            "activation_peak_bytes": manifest["activation_peak_bytes"],
        },
        "quality": _quality(measured),
        "ranges": list(_ranges(stages, measured)),
        "rescales": [_rescale(entry) for entry in manifest["rescales"]],
        "accumulators": manifest["accumulators"],
        "passes": [{"name": p["name"], "new_nodes": p["changed"]} for p in passes],
    }


def plan_facts(plan: Plan | None) -> dict[str, Any] | None:
    """Every choice with damage, cost and reason; what the limits leave; the front around it."""
    if plan is None:
        return None
    solved, front = plan.solved, plan.front
    return {
        "estimator": plan.estimator,
        "limits": {} if solved is None else {k: list(v) for k, v in solved.limits.items()},
        "objective": None if solved is None else _short(solved.objective),
        "optimal": None if solved is None else solved.gap <= OPTIMAL,
        "front": None if front is None else front_entry(front),
        "choices": [
            {
                "node": choice.node,
                "widths": FLOAT if choice.widths is None else str(choice.widths),
                "damage": _short(choice.damage),
                "costs": dict(choice.costs),
                "reason": choice.reason,
            }
            for choice in plan.choices
        ],
    }


def _quality(measured: Measured) -> dict[str, Any]:
    return {
        "drop": measured.as_drop,
        "sqnr_db": {name: _short(db) for name, db in measured.outputs.items()},
        "worst_layers": [d.as_dict() for d in measured.worst],
        "layers": [
            {
                "node": layer.name,
                "op": layer.op,
                "accumulated_db": _short(layer.accumulated),
                "isolated_db": _short(layer.isolated),
            }
            for layer in measured.layers
        ],
    }


def read_report(folder: Path) -> dict[str, Any]:
    """The facts in an artifact's folder."""
    path = folder / FACTS
    try:
        facts: Any = json.loads(path.read_text())
    except FileNotFoundError:
        raise ArtifactError(f"{folder} has no {FACTS}: compile again") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from error
    if not isinstance(facts, dict) or cast("dict[str, Any]", facts).get("format") != FORMAT:
        raise ArtifactError(f"{path} is not a report of this version: compile again")
    return cast("dict[str, Any]", facts)  # isinstance leaves its types open


def render(facts: Mapping[str, Any]) -> str:
    """The page."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"amount": _amount, "shape": _shape, "span": _span, "number": _number}
    template = environment.from_string(Path(__file__).with_suffix(".html").read_text())
    layers = facts["quality"]["layers"]
    reach = max([40.0, *(min(layer["accumulated_db"], 80.0) for layer in layers)])
    charts = [chart(r) for r in facts["ranges"]]
    return template.render(
        facts, reach=reach, charts=charts, drawn=drawn_front(facts["plan"]), amount_of=show_amount
    )


def drawn_front(plan: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The front around a plan, with the plan's own point where the solver said what it uses."""
    if plan is None or plan["front"] is None:
        return None
    on = plan["front"]["on"]
    used = plan["limits"].get(on)
    chosen = None if used is None or plan["objective"] is None else (used[0], plan["objective"])
    return front_chart(plan["front"], chosen, lambda amount: show_amount(amount, on))


def show_amount(amount: float, resource: str) -> str:
    """An amount of a resource, such as 138 kB."""
    units = {"latency": " ms"}
    return (
        _amount(round(amount)) if resource in BYTES else _number(amount) + units.get(resource, "")
    )


def chart(edge: Mapping[str, Any]) -> dict[str, Any]:
    """An edge's histogram as an SVG path over 240 x 40, and where the chosen range begins, ends."""
    counts = edge["histogram"]["counts"]
    lo, hi = edge["histogram"]["lo"], edge["histogram"]["hi"]
    heights = np.log1p(np.array(counts, np.float64))
    heights = 36 * heights / max(float(heights.max()), 1e-9)
    width = 240 / len(counts)
    steps = [f"V{40 - h:.1f}H{(i + 1) * width:g}" for i, h in enumerate(heights)]

    def place(value: float) -> float:
        return round(min(max(240 * (value - lo) / max(hi - lo, 1e-30), 0.0), 240.0), 1)

    begin, end = place(edge["lo"]), place(edge["hi"])
    return {
        "path": "M0,40" + "".join(steps) + "V40Z",
        "begin": begin,
        "width": round(end - begin, 1),
        "zero": place(0.0),
    }


def _ranges(stages: Stages, measured: Measured) -> Iterator[dict[str, Any]]:
    """Every quantized activation edge: the range chosen, what was seen, and how it spread."""
    for node in stages.calibrated.nodes:
        seen = measured.seen.get(node.name)
        if not isinstance(node, FakeQuant) or isinstance(node.x, Const) or seen is None:
            continue
        scale, zero = node.unit.scale[0], node.unit.zero_point[0]
        lo, hi = (node.elem.lo - zero) * scale, (node.elem.hi - zero) * scale
        yield {
            "edge": node.name,
            "after": node.x.op,
            "dtype": str(node.elem),
            "scale": scale,
            "zero_point": zero,
            "lo": _short(lo),
            "hi": _short(hi),
            "seen_lo": _short(seen.lo),
            "seen_hi": _short(seen.hi),
            "clipped": _short(_clipped(seen, lo - scale / 2, hi + scale / 2)),
            "channels": int(seen.low.size),
            "histogram": _histogram(seen),
        }


def _clipped(seen: Statistics, lo: float, hi: float) -> float:
    """The share of values beyond the range, to the histogram's fineness."""
    counts, centres = seen.counts.counts, seen.counts.centres
    outside = int(counts[(centres < lo) | (centres > hi)].sum())
    return outside / max(int(counts.sum()) + seen.counts.zeros, 1)


def _histogram(seen: Statistics) -> dict[str, Any]:
    """The counts between the extremes, zero included, in 48 bars; exact zeros apart."""
    lo, hi = min(seen.lo, 0.0), max(seen.hi, 0.0)
    lo, hi = (lo, hi) if hi > lo else (-1.0, 1.0)
    centres = np.clip(seen.counts.centres, lo, hi)
    places = np.minimum(((centres - lo) / (hi - lo) * BARS).astype(np.int64), BARS - 1)
    counts = np.zeros(BARS, np.int64)
    np.add.at(counts, places, seen.counts.counts)
    return {
        "lo": _short(lo),
        "hi": _short(hi),
        "zeros": seen.counts.zeros,
        "counts": [int(c) for c in counts],
    }


def _rescale(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest's entry with the extremes of its multipliers in place of them all."""
    values = entry["multiplier"]
    return {**entry, "multiplier": [min(values), max(values)], "channels": len(values)}


def _short(value: float) -> float:
    """Six digits: enough to read, few enough to be the same everywhere."""
    return float(f"{value:.6g}")


def _amount(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"


def _number(value: float) -> str:
    for unit, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.4g}"


def _shape(lengths: Sequence[int]) -> str:
    return " × ".join(str(d) for d in lengths) or "scalar"


def _span(rescale: Mapping[str, Any]) -> str:
    """`7`, or `3 … 9 (64 channels)`."""
    least, greatest = rescale["multiplier"]
    if rescale["channels"] == 1:
        return str(least)
    return f"{least} … {greatest} ({rescale['channels']} channels)"
