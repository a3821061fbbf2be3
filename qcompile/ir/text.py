"""Graphs as text: a subset of Python, in which every line names a value, its type and its law.

    def net(x: f32[1, 3, 8, 8]):
        w: f32[8, 3, 3, 3] = const(blob("2aa4…"))
        r1: f32[1, 8, 8, 8] = conv(x, w, pads=(1, 1, 1, 1))
        q1: u8[1, 8, 8, 8] @ q(0.02, 3) = quantize(r1)
        return q1

A unit is `@ q(scale, zero_point)`, per channel `@ q((0.1, 0.2), axis=0)`, in groups with `group`
and `steps`. What a field of an operation shares with the result's type stands in the annotation
only (`IMPLIED`); fields equal to their default are left out. Arrays and tuples of more than 16
numbers are `blob("digest")`, or `ramp(start, stop, each)` where they count up evenly.
`dump(parse(dump(g), blobs(g))) == dump(g)`.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from keyword import iskeyword
from typing import Any

import numpy as np

from qcompile.ir.blob import Blob, blob
from qcompile.ir.dims import Symbol
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.integer import Requantize
from qcompile.ir.ops.pointwise import Cast
from qcompile.ir.ops.quant import Quantize, Spec
from qcompile.ir.ops.shape import Reshape
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import Scalar, TensorType
from qcompile.ir.unit import Affine
from qcompile.numerics.fixedpoint import Multipliers

INLINE = 16
WIDTH = 100
CONSTANTS = ("inf", "nan")
RECORDS: dict[str, type] = {"spec": Spec, "multipliers": Multipliers}
IMPLIED: dict[type[Node], dict[str, str]] = {
    Input: {},
    Const: {"elem": "elem", "unit": "unit"},
    Quantize: {"elem": "elem", "unit": "unit"},
    Requantize: {"elem": "elem", "unit": "unit"},
    Cast: {"to": "elem"},
    Reshape: {"shape": "shape"},
}
UNSPOKEN: dict[type[Node], tuple[str, ...]] = {Foreign: ("runner",)}


def dump(graph: Graph) -> str:
    """The graph as text; a function of the graph alone."""
    return _Writer().graph(graph)


def blobs(graph: Graph) -> dict[str, Blob]:
    """The arrays that the text refers to, by digest."""
    writer = _Writer()
    writer.graph(graph)
    return writer.blobs


@cache
def operand_fields(cls: type[Node]) -> tuple[str, ...]:
    """The fields that hold nodes, whether or not they are given."""
    return tuple(f.name for f in fields(cls) if "Node" in str(f.type))


@cache
def spoken_fields(cls: type[Node]) -> tuple[Field[Any], ...]:
    """The fields printed as keywords: neither operands, nor in the annotation, nor left unsaid."""
    silent = {"name", "type", *operand_fields(cls), *IMPLIED.get(cls, ()), *UNSPOKEN.get(cls, ())}
    return tuple(f for f in fields(cls) if f.name not in silent)


def callee(op: str) -> str:
    """The operation's name where Python takes it: `and_`."""
    return f"{op}_" if iskeyword(op) else op


def is_symbol(name: str) -> bool:
    """True when a symbol of this name is printed bare."""
    return _is_plain(name) and name not in CONSTANTS and not is_scalar(name)


def is_scalar(name: str) -> bool:
    """True for a name that is, or looks like, an element format's."""
    return name == "bool" or re.fullmatch(r"(b?f|[iu])\d\w*", name) is not None


@dataclass
class _Writer:
    """Prints, and gathers the blobs that it refers to."""

    blobs: dict[str, Blob] = field(default_factory=dict[str, Blob])
    names: dict[Node, str] = field(default_factory=dict[Node, str])

    def graph(self, graph: Graph) -> str:
        self.names = _identifiers(graph.nodes)
        title = _identifier(graph.name)
        lines = [self._head(title, graph.inputs)]
        if title != graph.name:
            lines.append(_string(graph.name))
        lines += [self._statement(node) for node in graph.nodes if not isinstance(node, Input)]
        lines.append(f"return {self._results(graph.outputs)}")
        return "\n    ".join(lines) + "\n"

    def _head(self, title: str, inputs: Sequence[Input]) -> str:
        parameters = [self._parameter(node) for node in inputs]
        line = f"def {title}({', '.join(parameters)}):"
        if len(line) <= WIDTH:
            return line
        return f"def {title}(\n        " + ",\n        ".join(parameters) + ",\n    ):"

    def _parameter(self, node: Input) -> str:
        text = f"{self.names[node]}: {self.type(node.type)}"
        return text if self._speaks_for(node) else f"{text} @ name({_string(node.name)})"

    def _statement(self, node: Node) -> str:
        parts = [*self._operands(node), *self._attributes(node)]
        if not self._speaks_for(node):
            parts.append(f"name={_string(node.name)}")
        call = f"{callee(node.op)}({', '.join(parts)})"
        return f"{self.names[node]}: {self.type(node.type)} = {call}"

    def _speaks_for(self, node: Node) -> bool:
        name = self.names[node]
        return name == node.name or (not node.name and _is_anonymous(name))

    def _operands(self, node: Node) -> list[str]:
        given = [self._operand(getattr(node, name)) for name in operand_fields(type(node))]
        while given and given[-1] == "None":
            given.pop()
        return given

    def _operand(self, value: Node | tuple[Node, ...] | None) -> str:
        match value:
            case None:
                return "None"
            case Node():
                return self.names[value]
            case _:
                return _tuple([self.names[node] for node in value])

    def _attributes(self, node: Node) -> Iterator[str]:
        if isinstance(node, Const):
            yield self._contents(node)
            return
        for f in spoken_fields(type(node)):
            value = getattr(node, f.name)
            if f.default is MISSING or value != f.default:
                yield f"{f.name}={self.value(value)}"

    def _contents(self, node: Const) -> str:
        if int(np.prod(node.data.shape, dtype=np.int64)) > INLINE:
            return self._refer(node.data)
        return _nested(node.array, node.elem)

    def _refer(self, data: Blob) -> str:
        self.blobs.setdefault(data.digest, data)
        return f'blob("{data.digest}")'

    def _results(self, outputs: Sequence[tuple[str, Node]]) -> str:
        if outputs and all(self.names[node] == name for name, node in outputs):
            return ", ".join(name for name, _ in outputs)
        pairs = [f"{_string(name)}: {self.names[node]}" for name, node in outputs]
        return "{" + ", ".join(pairs) + "}"

    def type(self, kind: TensorType) -> str:
        dims = ", ".join(self.value(d) for d in kind.shape) or "()"
        text = f"{kind.elem}[{dims}]"
        return text if kind.unit is None else f"{text} @ {self.unit(kind.unit)}"

    def unit(self, unit: Affine) -> str:
        scale, zero = unit.scale, unit.zero_point
        parts = [self.value(scale[0] if unit.axis is None else scale)]
        if zero != (0,):
            parts.append(self.value(zero[0] if len(zero) == 1 else zero))
        parts += [f"axis={unit.axis}"] if unit.axis is not None else []
        if unit.group is not None:
            steps = self._sequence(tuple(unit.steps), np.uint8)
            parts += [f"group={unit.group}, steps={steps}"]
        return f"q({', '.join(parts)})"

    def value(self, value: Any) -> str:
        match value:
            case (*parts,):
                return self._sequence(tuple(parts))
            case TensorType():
                return self.type(value)
            case Affine():
                return self.unit(value)
            case Spec() | Multipliers():
                return self._record(value)
            case _:
                return _atom(value)

    def _sequence(self, values: tuple[Any, ...], dtype: type | None = None) -> str:
        kinds: set[type] = {type(v) for v in values}
        if len(values) <= INLINE or kinds not in ({int}, {float}):
            return _tuple([self.value(v) for v in values])
        array = np.array(values, dtype)
        return _ramp(array) or self._refer(blob(array))

    def _record(self, record: Spec | Multipliers) -> str:
        title = next(name for name, cls in RECORDS.items() if cls is type(record))
        values = [(f, getattr(record, f.name)) for f in fields(record)]
        parts = [self.value(v) for f, v in values if f.default is MISSING]
        changed = [(f, v) for f, v in values if f.default is not MISSING and v != f.default]
        parts += [f"{f.name}={self.value(v)}" for f, v in changed]
        return f"{title}({', '.join(parts)})"


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _atom(value: Any) -> str:
    match value:
        case np.generic():  # before float, which float64 also is
            return _atom(value.item())
        case Symbol(name):
            return name if is_symbol(name) else f"dim({_string(name)})"
        case Scalar(name):
            return name
        case str():
            return _string(value)
        case bytes():
            return f'base64("{b64encode(value).decode()}")'
        case bool() | int() | float() | None:
            return repr(value)
        case _:
            raise AssertionError(f"no text for {value!r}: give it a spelling in ir/text.py")


def _tuple(parts: Sequence[str]) -> str:
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def _ramp(array: np.ndarray[Any, Any]) -> str:
    """`ramp(a, b, k)` for a, a, …, a+1, a+1, …, b−1 with each k times; else nothing."""
    start, stop = int(array[0]), int(array[-1]) + 1
    each = array.size // max(stop - start, 1)
    if array.dtype.kind != "i" or each * (stop - start) != array.size:
        return ""
    even = np.repeat(np.arange(start, stop), each)
    return f"ramp({start}, {stop}, {each})" if np.array_equal(even, array) else ""


def _nested(array: np.ndarray[Any, Any], elem: Scalar) -> str:
    if array.ndim:
        return f"[{', '.join(_nested(row, elem) for row in array)}]"
    return _number(array[()], elem)


def _number(value: Any, elem: Scalar) -> str:
    """The shortest digits that read back as the same element."""
    if not elem.is_float:
        return repr(value.item())
    text, kind = str(value), elem.storage.type
    return text if text == "nan" or kind(float(text)) == value else repr(float(value))


def _identifiers(nodes: Sequence[Node]) -> dict[Node, str]:
    """A Python name for each node: its own where that is one and still free."""
    names: dict[Node, str] = {}
    taken: set[str] = set()
    for place, node in enumerate(nodes):
        base = _identifier(node.name) if node.name else f"_{place}"
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name)
        names[node] = name
    return names


def _is_name(name: str) -> bool:
    return _is_plain(name) and not _is_anonymous(name)


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isidentifier() and not iskeyword(name)


def _is_anonymous(name: str) -> bool:
    return re.fullmatch(r"_\d+", name) is not None


def _identifier(name: str) -> str:
    if _is_name(name):
        return name
    plain = re.sub(r"[^0-9A-Za-z_]", "_", name).strip("_")
    return plain if _is_name(plain) else f"v_{plain}"
