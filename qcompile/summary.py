"""The summary of a compilation: the stable JSON object, and nothing that is not measured."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qcompile.calibrate.statistics import Statistics
from qcompile.coverage import Coverage
from qcompile.diagnosis import Diagnosis
from qcompile.drop import Drop
from qcompile.evidence import Evidence
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const
from qcompile.numerics.packing import packed_size
from qcompile.passes.choose_widths import Choice
from qcompile.plan_choices import Plan
from qcompile.quality import Layer
from qcompile.targets.base import Emitted
from qcompile.transformed import Transformed

OPTIMAL = 1e-9  # relative gap of an exact solution, floats being what they are
UNPROVED = "not run (--no-verify)"


@dataclass(frozen=True)
class Measured:
    """What was found out about quality: per output, the worst layers, all layers, all ranges, and
    the drop where one was asked for."""

    outputs: Mapping[str, float]
    worst: Sequence[Diagnosis]
    layers: Sequence[Layer]
    seen: Mapping[str, Statistics]
    drop: Drop | None = None

    @property
    def as_drop(self) -> dict[str, Any] | None:
        """The drop's entry in summary, manifest and report."""
        return None if self.drop is None else self.drop.as_dict()


@dataclass(frozen=True)
class Decided:
    """Who got how many bits: the scheme of all, every contraction's choice, the plan if any; and
    what the recipe did to the weights before."""

    scheme: str
    choices: Mapping[Node, Choice]
    plan: Plan | None
    turned: Transformed

    def bits(self, found: Coverage) -> dict[str, Any]:
        """The entry of that name in summary and report."""
        return bits(found, self.choices) | solved(self.plan)


def summarize(
    *,
    model: Mapping[str, Any],
    target: str,
    decided: Decided,
    evidence: Evidence,
    found: Coverage,
    measured: Measured,
    sizes: Mapping[str, int],
    emitted: Emitted,
    manifest: Mapping[str, Any],
    artifact: str,
    passes: Sequence[Mapping[str, object]],
    proof: str,
    exact: bool,
    seconds: float,
) -> dict[str, Any]:
    """The object that `--json` prints; keys are stable."""
    return {
        "model": dict(model),
        "target": target,
        "scheme": decided.scheme,
        "calibration": {
            "source": evidence.source,
            "samples": evidence.count,
            "remark": evidence.remark,
        },
        "coverage": {
            "ops_integer": found.ops_integer,
            "ops_total": found.ops_total,
            "macs_integer": found.macs_integer,
            "macs_total": found.macs_total,
            "float_islands": [{"node": n, "why": w} for n, w in found.islands.items()],
        },
        "size": {**sizes, "activation_peak_bytes": emitted.activation_peak_bytes},
        "quality": {
            "sqnr_db": dict(measured.outputs),
            "worst_layers": [d.as_dict() for d in measured.worst],
            "drop": measured.as_drop,
        },
        "bits": decided.bits(found),
        "transforms": decided.turned.as_dict(),
        "latency": {
            "predicted_ms": emitted.latency_ms,
            "interpolated": list(emitted.interpolated),
            "measured_ms": None,
            "device": None,
        },
        "integer_only": found.integer_only and exact,
        "verified": proof != UNPROVED,
        "proof": proof,
        "digest": manifest["digest"],
        "artifact": artifact,
        "passes": [dict(row) for row in passes],
        "seconds": round(seconds, 3),
        "peak_rss_bytes": peak_rss_bytes(),
    }


def bits(found: Coverage, choices: Mapping[Node, Choice]) -> dict[str, Any]:
    """Multiply-accumulates by the bits of their weights, and by both widths; and which layers have
    other widths than the scheme says, with the reason."""
    histogram = {"8": 0}
    for (weight, _), count in found.macs_by_bits.items():
        histogram[str(weight)] = histogram.get(str(weight), 0) + count
    return {
        "histogram": histogram,
        "macs": {f"W{w}A{a}": count for (w, a), count in found.macs_by_bits.items()},
        "exceptions": [
            {"node": node.name or node.op, "widths": str(choice.widths), "why": choice.why}
            for node, choice in choices.items()
            if choice.why
        ],
    }


def solved(plan: Plan | None) -> dict[str, Any]:
    """The damage of the chosen widths, and whether no choice within the limits does less."""
    found = None if plan is None else plan.solved
    if found is None:
        return {"objective": None, "optimal": None}
    return {"objective": found.objective, "optimal": found.gap <= OPTIMAL}


def peak_rss_bytes() -> int:
    """The greatest memory this process ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def constant_bytes(graph: Graph) -> int:
    """Bytes of all constants as stored, equal ones counted once; narrow integers packed, groups'
    steps a byte each."""
    found: dict[tuple[str, int], int] = {}
    for node in graph.nodes:
        if isinstance(node, Const):
            steps = 0 if node.unit is None else len(node.unit.steps)
            bits = node.elem.bits
            found[node.data.digest, bits] = packed_size(node.data.size, bits) + steps
    return sum(found.values())
