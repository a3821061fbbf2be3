"""Text to graph: Python's own grammar read by `ast`; nothing is executed.

Reads what `dump` writes, and lets people leave out the annotation of any result whose operation
does not need it. Every annotation is checked against the inferred type.
"""

from __future__ import annotations

import ast
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from qcompile.errors import BadModel, QcompileError, TypeMismatch, UsageError
from qcompile.ir.blob import Blob, blob
from qcompile.ir.dims import Symbol, static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops import OPS
from qcompile.ir.ops.foreign import Foreign, Runner
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.text import IMPLIED, RECORDS, callee, is_scalar, operand_fields
from qcompile.ir.types import Array, Scalar, TensorType
from qcompile.ir.unit import Affine

NO_BLOBS: Mapping[str, Blob] = MappingProxyType({})
_CALLEES = {callee(op): cls for op, cls in OPS.items()}


def no_runner(node: Foreign, operands: tuple[Array, ...]) -> NoReturn:
    """The runner of graphs that shall be read but not run."""
    del operands
    raise UsageError(f"{node.title} was read without a runner: give `parse` one to run it")


def parse(text: str, blobs: Mapping[str, Blob] = NO_BLOBS, *, runner: Runner = no_runner) -> Graph:
    """The graph that the text describes; `BadModel` and `TypeMismatch` say the line.

    `blobs` holds the arrays that the text refers to, by the name in `blob("name")`.
    """
    return _Reader(blobs, runner).graph(_function(text))


def parse_type(text: str) -> TensorType:
    """The type written as in an annotation: `i8[1, 64] @ q(0.02, 3)`."""
    return _type(ast.parse(text, mode="eval").body, NO_BLOBS)


def _function(text: str) -> ast.FunctionDef:
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise BadModel(f"line {error.lineno}: {error.msg}") from error
    match tree.body:
        case [ast.FunctionDef() as function]:
            return function
        case _:
            raise BadModel("wants one `def name(inputs): …` and nothing else")


@dataclass
class _Reader:
    """Reads statement by statement; `values` are the names defined so far."""

    blobs: Mapping[str, Blob]
    runner: Runner
    values: dict[str, Node] = field(default_factory=dict[str, Node])
    outputs: tuple[tuple[str, Node], ...] | None = None

    def graph(self, function: ast.FunctionDef) -> Graph:
        inputs = tuple(self._input(a) for a in function.args.args)
        name, body = function.name, function.body
        match body:
            case [ast.Expr(value=ast.Constant(value=str() as title)), *rest]:
                name, body = title, rest
            case _:
                pass
        for statement in body:
            with _line(statement):
                self._statement(statement)
        if self.outputs is None:
            raise BadModel(f"{name} returns nothing")
        return Graph(name, inputs, self.outputs)

    def _input(self, argument: ast.arg) -> Input:
        with _line(argument):
            kind, name = _named(argument.annotation, argument.arg)
            node = Input(_type(kind, self.blobs), name=name)
            self._define(argument.arg, node)
        return node

    def _define(self, name: str, node: Node) -> None:
        if name in self.values:
            raise BadModel(f"{name} is defined twice")
        self.values[name] = node

    def _statement(self, statement: ast.stmt) -> None:
        if self.outputs is not None:
            raise BadModel("a line after `return`")
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind, value=ast.Call() as call):
                self._define(name, self._node(name, call, _type(kind, self.blobs)))
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                self._define(name, self._node(name, call, None))
            case ast.Return(value=ast.expr() as value):
                self.outputs = self._results(value)
            case _:
                raise BadModel(f"wants `name: type = op(…)`, got `{ast.unparse(statement)}`")

    def _node(self, name: str, call: ast.Call, kind: TensorType | None) -> Node:
        cls = _CALLEES.get(ast.unparse(call.func))
        if cls is None or cls is Input:
            raise BadModel(f"no operation {ast.unparse(call.func)!r}")
        given: dict[str, Any] = {"name": "" if _anonymous(name) else name}
        if cls is Foreign:
            given["runner"] = self.runner
        if cls in IMPLIED:
            if kind is None:
                raise BadModel(f"{callee(name)}: {ast.unparse(call.func)} wants its type annotated")
            given |= {key: getattr(kind, source) for key, source in IMPLIED[cls].items()}
        node = cls(**given | self._arguments(cls, call, kind))
        if kind is not None and node.type != kind:
            raise TypeMismatch(f"{node}: is {node.type}, annotated {kind}")
        return node

    def _arguments(
        self, cls: type[Node], call: ast.Call, kind: TensorType | None
    ) -> dict[str, Any]:
        given = {k.arg: _value(k.value, self.blobs) for k in call.keywords if k.arg is not None}
        if cls is Const:
            assert kind is not None
            return given | {"data": _contents(call.args, kind, self.blobs)}
        operands = operand_fields(cls)
        if len(call.args) > len(operands):
            raise BadModel(f"{ast.unparse(call.func)} takes {len(operands)} operands by position")
        places = zip(operands, call.args, strict=False)
        return given | {name: self._operand(value) for name, value in places}

    def _operand(self, value: ast.expr) -> Node | tuple[Node, ...] | None:
        match value:
            case ast.Tuple(elts=elts) | ast.List(elts=elts):
                return tuple(self._value_of(e) for e in elts)
            case ast.Constant(value=None):
                return None
            case _:
                return self._value_of(value)

    def _value_of(self, name: ast.expr) -> Node:
        match name:
            case ast.Name(id=key) if key in self.values:
                return self.values[key]
            case _:
                raise BadModel(f"no value named {ast.unparse(name)}")

    def _results(self, value: ast.expr) -> tuple[tuple[str, Node], ...]:
        match value:
            case ast.Dict(keys=keys, values=values):
                names = [str(_value(key, self.blobs)) for key in keys if key is not None]
                return tuple(zip(names, map(self._value_of, values), strict=True))
            case ast.Tuple(elts=elts):
                return tuple((ast.unparse(e), self._value_of(e)) for e in elts)
            case _:
                return ((ast.unparse(value), self._value_of(value)),)


class _line:
    """Says the line in every complaint that leaves the block."""

    def __init__(self, at: ast.stmt | ast.arg) -> None:
        self.number = at.lineno

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case QcompileError():
                raise type(error)(f"line {self.number}: {error}") from error
            case TypeError() | ValueError():
                raise BadModel(f"line {self.number}: {error}") from error
            case _:
                return


def _anonymous(name: str) -> bool:
    return name.startswith("_") and name[1:].isdecimal()


def _named(annotation: ast.expr | None, otherwise: str) -> tuple[ast.expr, str]:
    """An input's type, and its name: `f32[1] @ name("input.1")`."""
    match annotation:
        case ast.BinOp(left=kind, right=ast.Call(func=ast.Name(id="name"), args=[ast.Constant(v)])):
            return kind, str(v)
        case None:
            raise BadModel(f"input {otherwise} has no type")
        case _:
            return annotation, "" if _anonymous(otherwise) else otherwise


def _type(kind: ast.expr, blobs: Mapping[str, Blob]) -> TensorType:
    match kind:
        case ast.Subscript(value=ast.Name(id=elem), slice=dims):
            shape = _value(dims, blobs)
            one = not isinstance(dims, ast.Tuple)
            return TensorType((shape,) if one else shape, Scalar(elem))
        case ast.BinOp(left=left, op=ast.MatMult(), right=ast.Call() as right):
            plain, unit = _type(left, blobs), _value(right, blobs)
            return TensorType(plain.shape, plain.elem, unit)
        case _:
            raise BadModel(f"wants a type like `f32[1, 3] @ q(0.1)`, got `{ast.unparse(kind)}`")


def _value(value: ast.expr, blobs: Mapping[str, Blob]) -> Any:
    match value:
        case ast.Constant(value=constant):
            return constant
        case ast.Name(id=name):
            return _word(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, blobs)
        case ast.Tuple(elts=elts) | ast.List(elts=elts):
            return tuple(_value(e, blobs) for e in elts)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            named = {k.arg: _value(k.value, blobs) for k in keywords if k.arg is not None}
            return _call(name, [_value(a, blobs) for a in args], named, blobs)
        case _:
            return _type(value, blobs)


def _word(name: str) -> float | Scalar | Symbol:
    if name in ("inf", "nan"):
        return float(name)
    return Scalar(name) if is_scalar(name) else Symbol(name)


def _call(name: str, args: Sequence[Any], named: dict[str, Any], blobs: Mapping[str, Blob]) -> Any:
    match name, args:
        case "q", _:
            return _unit(*args, **named)
        case "dim", [str() as text]:
            return Symbol(text)
        case "base64", [str() as text]:
            return b64decode(text)
        case "blob", [str() as key]:
            return tuple(_blob(key, blobs).array().tolist())
        case "ramp", [int() as start, int() as stop, int() as each]:
            return tuple(i for i in range(start, stop) for _ in range(each))
        case _ if name in RECORDS:
            return RECORDS[name](*args, **named)
        case _:
            raise BadModel(f"no function {name} of {len(args)} arguments")


def _unit(
    scale: float | tuple[float, ...],
    zero_point: int | tuple[int, ...] = 0,
    *,
    axis: int | None = None,
    group: int | None = None,
    steps: tuple[int, ...] = (),
) -> Affine:
    scales = scale if isinstance(scale, tuple) else (scale,)
    zeros = zero_point if isinstance(zero_point, tuple) else (zero_point,)
    return Affine(tuple(float(s) for s in scales), zeros, axis, group, bytes(steps))


def _blob(key: str, blobs: Mapping[str, Blob]) -> Blob:
    if key not in blobs:
        raise BadModel(f"blob {key!r} is not given")
    return blobs[key]


def _contents(args: Sequence[ast.expr], kind: TensorType, blobs: Mapping[str, Blob]) -> Blob:
    shape = static(kind.shape)
    match args:
        case [ast.Call(func=ast.Name(id="blob"), args=[ast.Constant(value=str() as key)])]:
            found = _blob(key, blobs)
            if found.shape != shape:
                raise TypeMismatch(f"blob {key!r} has shape {found.shape}, annotated {kind}")
            return found
        case [literal]:
            flat = list(_flat(_value(literal, blobs)))
            return blob(np.array(flat, kind.elem.storage).reshape(shape))
        case _:
            raise BadModel("const wants its value")


def _flat(value: Any) -> list[Any]:
    match value:
        case (*parts,):
            return [leaf for part in parts for leaf in _flat(part)]
        case _:
            return [value]
