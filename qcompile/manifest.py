"""The manifest's facts: all about an artifact that does not depend on when it was made."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from qcompile.analysis.bounds import Bounds
from qcompile.artifact import sha256
from qcompile.coverage import Coverage, macs
from qcompile.evidence import Evidence
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.integer import Requantize
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const
from qcompile.ir.types import TensorType
from qcompile.options import Options
from qcompile.passes.choose_widths import Choice
from qcompile.summary import Measured
from qcompile.targets.base import Emitted, Target
from qcompile.targets.borders import borders

TOOLS = ("numpy", "onnx", "onnxruntime", "torch", "apache-tvm")


def identify(model: object, graph: Graph) -> dict[str, Any]:
    """Path, hash and size of the model; the hash of a callable's model is that of its weights."""
    path = Path(model) if isinstance(model, str | Path) else None
    whole = path is not None and path.is_file()
    return {
        "path": str(model) if path is not None else type(model).__name__,
        "sha256": sha256(path) if path is not None and whole else "",
        "parameters": sum(
            n.data.size for n in graph.nodes if isinstance(n, Const) and n.type.is_float
        ),
        "macs": sum(macs(n) for n in graph.nodes),
    }


def facts(
    model: Mapping[str, Any],
    options: Options,
    place: Target,
    choices: Mapping[Node, Choice],
    graph: Graph,
    emitted: Emitted,
    found: Coverage,
    evidence: Evidence,
    measured: Measured,
) -> dict[str, Any]:
    """The manifest without its files and digest."""
    split = borders(graph)
    named = {k: v for k, v in model.items() if k != "path"}
    return {
        "target": place.name,
        "model": {"name": graph.name, **named},
        "options": options.identity,
        "widths": {node.name or node.op: str(c.widths) for node, c in choices.items()},
        "tools": {"qcompile": version("qcompile"), **{t: version(t) for t in TOOLS}},
        "calibration": {"samples": evidence.count, "remark": evidence.remark},
        "inputs": [
            tensor(node.name, kind, node.type)
            for node, (_, kind) in zip(graph.inputs, split.inputs, strict=True)
        ],
        "outputs": [
            tensor(name, node.type, last.type)
            for (name, node), (_, last) in zip(split.outputs, graph.outputs, strict=True)
        ],
        "integer_only": found.integer_only and place.exact,
        "tolerance": tolerance(place, found, measured),
        "float_islands": dict(found.islands),
        "sqnr_db": {name: round(db, 3) for name, db in measured.outputs.items()},
        **({} if measured.drop is None else {"drop": measured.as_drop}),
        "rounding": "half up: (value * multiplier + 2^(shift-1)) >> shift",
        "rescales": [rescale(n) for n in graph.nodes if isinstance(n, Requantize)],
        "accumulators": accumulators(graph),
        **emitted.details,
        "activation_peak_bytes": emitted.activation_peak_bytes,
    }


def tolerance(place: Target, found: Coverage, measured: Measured) -> float:
    """How far an output may be from the interpreter's: not at all where all is exact.

    A last bit of a real sum, which engines add up in their own order, turns into a whole step where
    the sum is rounded, and the layers behind pass that on: with reals between integers an engine
    may be as far from the interpreter as that is from the reals. Steps of fewer than 8 bits are
    coarse: there it may be three times as far, since a single sample may have more noise than the
    mean of all.
    """
    if found.integer_only and place.exact:
        return 0.0
    noise = max((10 ** (-db / 20) for db in measured.outputs.values()), default=0.0)
    coarse = any(activation < 8 for _, activation in found.macs_by_bits)
    return max(place.tolerance, round(3 * noise if coarse else noise, 6))


def tensor(name: str, kind: TensorType, real: TensorType) -> dict[str, Any]:
    """An input or output: the integers that cross the border, and what they stand for."""
    unit = kind.unit
    return {
        "name": name,
        "shape": list(kind.shape),
        "layout": {4: "NCHW", 3: "NCL"}.get(kind.rank, "row-major"),
        "dtype": str(kind.elem),
        "real_dtype": str(real.elem),
        "scale": None if unit is None else list(unit.scale),
        "zero_point": None if unit is None else list(unit.zero_point),
        "axis": None if unit is None else unit.axis,
    }


def rescale(node: Requantize) -> dict[str, Any]:
    """A rescale as integers."""
    return {
        "name": node.name,
        "multiplier": list(node.numbers.value),
        "shift": node.numbers.shift,
        "zero_point": node.unit.zero_point[0],
        "lo": node.lo,
        "hi": node.hi,
    }


def accumulators(graph: Graph) -> dict[str, dict[str, int]]:
    """The proven interval of every 32-bit sum."""
    bounds = Bounds()
    found: dict[str, dict[str, int]] = {}
    for node in graph.nodes:
        if isinstance(node, Conv | ConvTranspose | MatMul) and node.type.is_quantized:
            lo, hi = bounds.of(node)
            found[node.name or f"{node.op}_{len(found)}"] = {"lo": lo, "hi": hi}
    return found
