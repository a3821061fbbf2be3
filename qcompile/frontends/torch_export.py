"""torch.export program → Graph."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.fx.node import map_arg

from qcompile.errors import BadModel, TypeMismatch, UnsupportedOps
from qcompile.frontends.aten_call import Call, Refusal, Result
from qcompile.frontends.aten_ops import translator
from qcompile.frontends.torch_complex import Complex, of_complex
from qcompile.frontends.torch_fixed import fixed_nodes, fixed_value, stored
from qcompile.frontends.torch_names import call_names, name_new, output_names
from qcompile.frontends.torch_scan import unroll_scans
from qcompile.frontends.torch_source import Inputs, Shapes, load_program, quiet
from qcompile.frontends.torch_tensor import Lengths, blob_of, kind_of, real_of
from qcompile.ir.dims import is_static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import TensorType

_PLACEMENT: Final = ("device", "layout", "pin_memory", "memory_format", "non_blocking", "copy")
_LOST: Final = object()  # a number, an assertion, a generator: nothing that a graph can hold
_OPERATOR: Final[type[Any]] = OpOverload
_ROUNDS: Final = 4  # of taking unknown operators apart


def read_torch(
    source: str | Path | nn.Module | ExportedProgram,
    *,
    shapes: Shapes | None = None,
    inputs: Inputs | None = None,
) -> Graph:
    """The graph of a `.pt2` file, of a `package.module:callable`, of a module or a program.

    A module is traced with `inputs`, else with the `example_inputs()` beside its callable, else
    with zeros of the `shapes`. On a program `shapes` bind its open dimensions. Weights are shared
    with the program: nothing is copied.
    """
    loaded = load_program(source, shapes=shapes or {}, inputs=inputs)
    with quiet():
        program = _decomposed(loaded.program)
    _refuse_state(program)
    return _Reader(program, loaded.bound).read(loaded.name)


def _decomposed(program: ExportedProgram) -> ExportedProgram:
    """No operator writes in place; those without a translation are in parts, where torch can."""
    if not all(_is_pure(node) for node in program.graph.nodes):
        program = unroll_scans(_decomposed_by(program, {}))
    for _ in range(_ROUNDS):
        unknown = dict.fromkeys(n.target for n in _alive(program.graph) if _unknown(n))
        table: Any = torch.export.default_decompositions() if unknown else {}
        parts = {target: table[target] for target in unknown if target in table}
        if not parts:
            return program
        program = _decomposed_by(program, parts)
    return program


def _decomposed_by(program: Any, table: Mapping[Any, Any]) -> ExportedProgram:
    return program.run_decompositions(table)


def _is_pure(node: fx.Node) -> bool:
    """Writes nothing in place, and has no graph of its own inside."""
    target: Any = node.target
    if node.op != "call_function" or getattr(target, "__module__", "") == "_operator":
        return True
    return isinstance(target, OpOverload) and not target._schema.is_mutable  # pyright: ignore[reportPrivateUsage]: there is no other way


def _unknown(node: fx.Node) -> bool:
    return isinstance(node.target, _OPERATOR) and translator(str(node.target)) is None


def _refuse_state(program: ExportedProgram) -> None:
    specs = program.graph_signature.output_specs
    written = [str(spec.target) for spec in specs if spec.kind == OutputKind.BUFFER_MUTATION]
    if written:
        raise BadModel(
            f"the model writes to {', '.join(written)} when it runs: a compiled model keeps no "
            "state; export it after .eval(), and give such values as inputs and outputs"
        )


class _Reader:
    """Translates one program, call by call, and collects everything it cannot."""

    def __init__(self, program: ExportedProgram, shapes: Shapes) -> None:
        self.program = program
        self.graph = program.graph
        self.lengths = Lengths(program, shapes)
        self.names = call_names(program.graph)
        self.values: dict[fx.Node, Any] = {}
        self.inputs: list[Input] = []
        self.refused: dict[str, list[str]] = {}
        self.fixed = fixed_nodes(program)
        self.worked_out: dict[fx.Node, Any] = {}

    def read(self, name: str) -> Graph:
        """The whole graph; `UnsupportedOps` lists all that has no translation."""
        placeholders = (n for n in self.graph.nodes if n.op == "placeholder")
        specs = self.program.graph_signature.input_specs
        for node, spec in zip(placeholders, specs, strict=True):
            self.values[node] = self._placeholder(node, spec)
        for node in _alive(self.graph):
            if node.op in ("call_function", "get_attr"):
                self.values[node] = self._call(node)
        if self.refused:
            raise UnsupportedOps(_complaint(self.refused))
        return Graph(name, tuple(self.inputs), self._outputs())

    def _placeholder(self, node: fx.Node, spec: Any) -> Node | object:
        if isinstance(spec.arg, ConstantArgument):
            return spec.arg.value
        if spec.kind == InputKind.USER_INPUT:
            kind = kind_of(node.meta["val"], self.lengths, where=f"input {node.name}")
            self.inputs.append(Input(kind, name=node.name))
            return self.inputs[-1]
        if node in self.fixed and node.users:
            return self._constant(stored(self.program, str(spec.target)), str(spec.target))
        return _LOST

    def _call(self, node: fx.Node) -> object:
        if node.op == "get_attr":
            return self._attribute(node)
        if node.target is operator.getitem:
            return self._item(node)
        value: Any = node.meta.get("val")
        if isinstance(value, torch.SymInt | int):
            return self.lengths.dim(value)
        if isinstance(value, Tensor) and self._is_complex(node, value):
            return self._of_complex(node, value)
        if isinstance(value, Tensor):
            return self._translated(node, (value,))
        return self._translated(node, tuple(value)) if _is_several(value) else _LOST

    def _is_complex(self, node: fx.Node, value: Tensor) -> bool:
        given = (self.values[source] for source in node.all_input_nodes)
        return value.dtype.is_complex or any(isinstance(v, Complex) for v in given)

    def _of_complex(self, node: fx.Node, value: Tensor) -> object:
        """Of complex values each part has the type of a real."""
        elem = real_of(value.dtype)
        call = Call((TensorType(tuple(self.lengths.dim(d) for d in value.shape), elem),))
        kwargs = {k: v for k, v in node.kwargs.items() if k not in _PLACEMENT}
        try:
            args: Any = self._resolve(node.args)
            return of_complex(str(node.target), call, tuple(args), self._resolve(kwargs))
        except Refusal as refusal:
            return self._worked_out(node, refusal, call)

    def _attribute(self, node: fx.Node) -> Node | None:
        """A tensor that lies in the graph module itself."""
        tensor = getattr(self.program.graph_module, str(node.target), None)
        return self._const(tensor, node.name) if isinstance(tensor, Tensor) else None

    def _item(self, node: fx.Node) -> object:
        source, index = node.args
        assert isinstance(source, fx.Node)
        value = self.values[source][index]
        if value is None and node.users:
            call = Call((self._kind(node, node.meta["val"]),))
            self.refused.setdefault(str(source.target), []).append(f"{node.name}: result {index}")
            return Input(call.type, name=node.name)
        return value

    def _translated(self, node: fx.Node, promised: tuple[Any, ...]) -> object:
        call = Call(tuple(self._kind(node, v) for v in promised))
        try:
            result = self._result(node, call)
        except Refusal as refusal:
            return self._worked_out(node, refusal, call)
        except TypeMismatch as error:
            raise BadModel(f"{node.name} ({node.target}): {error}{_advice(call)}") from error
        _check(node, call, result)
        named = name_new(result, self.names[node])
        self.lengths.learn(promised, named)
        return named

    def _result(self, node: fx.Node, call: Call) -> Result:
        translate = translator(str(node.target))
        if translate is None:
            raise Refusal("")
        if any(self.values[source] is _LOST for source in node.all_input_nodes):
            raise Refusal("depends on a number that is known only when the model runs")
        kwargs = {k: v for k, v in node.kwargs.items() if k not in _PLACEMENT}
        return translate(call, *self._resolve(node.args), **self._resolve(kwargs))

    def _kind(self, node: fx.Node, value: object) -> TensorType | None:
        return kind_of(value, self.lengths, where=node.name) if isinstance(value, Tensor) else None

    def _resolve(self, argument: Any) -> Any:
        return map_arg(argument, lambda node: self.values[node])

    def _refuse(self, node: fx.Node, why: str, call: Call) -> object:
        """Notes the complaint and goes on with stand-ins, to find the others."""
        self.refused.setdefault(str(node.target), []).append(f"{node.name}: {why}" if why else "")
        stand_ins = tuple(None if r is None else Input(r, name=node.name) for r in call.results)
        return stand_ins if _is_several(node.meta["val"]) else stand_ins[0]

    def _worked_out(self, node: fx.Node, refusal: Refusal, call: Call) -> object:
        """What no input can change is worked out by torch, unless an open length can."""
        if node not in self.fixed:
            return self._refuse(node, str(refusal), call)
        try:
            value = fixed_value(node, self.program, self.values, self.worked_out)
        except Refusal as open_length:
            return self._refuse(node, str(open_length), call)
        if isinstance(value, Tensor):
            return self._constant(value, self.names[node])
        return tuple(self._const(v, f"{self.names[node]}_{i}") for i, v in enumerate(value))

    def _constant(self, tensor: Tensor, name: str) -> Const | Complex:
        if not tensor.is_complex():
            return self._const(tensor, name)
        real, imaginary = tensor.resolve_conj().real, tensor.resolve_conj().imag
        return Complex(self._const(real, name), self._const(imaginary, f"{name}.imaginary"))

    def _const(self, tensor: Tensor, name: str) -> Const:
        elem = kind_of(tensor, self.lengths, where=name).elem
        return Const(blob_of(tensor, where=name), elem, name=name)

    def _outputs(self) -> tuple[tuple[str, Node], ...]:
        """The values returned; what is no tensor is left out."""
        specs = self.program.graph_signature.output_specs
        results: Any = self.graph.output_node().args[0]
        returned = [
            value
            for value, spec in zip(results, specs, strict=True)
            if spec.kind == OutputKind.USER_OUTPUT
        ]
        structure = self.program.call_spec.out_spec
        assert structure is not None
        found: list[tuple[str, Node]] = []
        for name, value in zip(output_names(structure), returned, strict=True):
            node = self._resolve(value)
            if isinstance(node, Node):
                found.append((name, node))
        if not found:
            raise BadModel("the model returns no tensor")
        return tuple(found)


def _advice(call: Call) -> str:
    """Open lengths are compared as they are written: numbers leave no doubt."""
    shapes = [result.shape for result in call.results if result is not None]
    closed = all(is_static(shape) for shape in shapes)
    return "" if closed else "; bind the open dimensions with --input-shape"


def _is_several(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _alive(graph: fx.Graph) -> list[fx.Node]:
    """The nodes that the outputs depend on, in order."""
    used = {graph.output_node()}
    for node in reversed(graph.nodes):
        if node in used:
            used.update(node.all_input_nodes)
    return [node for node in graph.nodes if node in used]


def _check(node: fx.Node, call: Call, result: Result) -> None:
    """The translation has the types that the exporter promised."""
    results = (result,) if isinstance(result, Node) else result
    for promised, found in zip(call.results, results, strict=False):
        if promised is None or found is None:
            continue
        pairs = zip(promised.shape, found.type.shape, strict=False)
        differ = any(isinstance(p, int) and isinstance(f, int) and p != f for p, f in pairs)
        same = promised.elem == found.type.elem and promised.rank == found.type.rank
        if differ or not same:
            raise AssertionError(f"{node.name} ({node.target}): {found} is not {promised}")


def _complaint(refused: Mapping[str, list[str]]) -> str:
    """Every operator with its count, and the reasons where it is known but not this way."""
    parts: list[str] = []
    for name, reasons in sorted(refused.items()):
        given = "; ".join(dict.fromkeys(r for r in reasons if r))
        parts.append(f"{name} ({len(reasons)}){f' [{given}]' if given else ''}")
    return (
        f"torch operators without a translation: {', '.join(parts)}. Export the model to ONNX: "
        "there such an operator becomes a float island"
    )
