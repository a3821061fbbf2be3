"""A model under construction: ONNX nodes, and initializers that are promises of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import NodeProto, helper

from qcompile.errors import NotLegal
from qcompile.ir.dims import Symbol
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import Array, Scalar
from qcompile.targets.onnx.names import value_names

OPSETS = range(13, 22)
Handler: TypeAlias = Callable[["Writer", Any], None]


class NeedsOpset(Exception):
    """The graph needs a later operator set than the one that is being written."""

    def __init__(self, opset: int) -> None:
        super().__init__(opset)
        self.opset = opset


@dataclass(frozen=True)
class Initializer:
    """A named constant; `load` gives the array when it is written."""

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    load: Callable[[], Array]

    @property
    def nbytes(self) -> int:
        """Bytes of raw data."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Held:
    """Which initializers a constant's elements lie in, row-major, bits each; and how much more
    they are there."""

    planes: tuple[tuple[str, int], ...]
    less: int = 0


class Writer:
    """Writes one graph, node by node, for one operator set.

    A handler reads its operands with `value` and must define the tensor `names[node]`, whose
    elements are the node's storage type. Helper tensors are called `<node>~<k>`. Constants that
    `packs` are not stored as they are: the handler of `Const` computes them from what it stores.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        opset: int,
        handlers: Mapping[type[Node], Handler],
        keeps: tuple[type[Node], ...] = (),
        packs: Callable[[Node], bool] = lambda node: False,
    ) -> None:
        self.graph = graph
        self.opset = opset
        self.names = value_names(graph)
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, Initializer] = {}
        self.domains: dict[str, int] = {}
        self.variants: dict[tuple[Node, str], str] = {}
        self.held: dict[Const, Held] = {}
        self._handlers = handlers
        self._keeps = keeps
        self.packs = packs
        self._stored: set[str] = set()
        self._small: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._helpers: dict[str, int] = {}
        self._taken = {*self.names.values(), *(name for name, _ in graph.outputs)}
        self._base = ""
        self._constant = self._find_constants()

    def write(self) -> None:
        """Writes every node that is not a constant, then the outputs."""
        for node in self.graph.nodes:
            self._write(node)
        for name, node in self.graph.outputs:
            if name != self.names[node]:
                self.op("Identity", [self.value(node)], out=name)
            else:
                self.value(node)

    def refusals(self) -> list[str]:
        """One sentence for each node that cannot be written; writes the others."""
        found: list[str] = []
        for node in self.graph.nodes:
            try:
                self._write(node)
            except NotLegal as refusal:
                found.append(str(refusal))
        return found

    def _write(self, node: Node) -> None:
        if isinstance(node, Input) or self.is_constant(node):
            return
        self._base = self.names[node]
        self._handler(node)(self, node)

    def _handler(self, node: Node) -> Handler:
        found = self._handlers.get(type(node))
        if found is None:
            raise NotLegal(f"{node}: ONNX has no counterpart of {node.op}")
        return found

    def op(
        self,
        kind: str,
        inputs: Sequence[str],
        *,
        out: str | Sequence[str] | None = None,
        since: int = 13,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Appends an operator and returns its first output's name; a helper's unless given."""
        if since > self.opset:
            raise NeedsOpset(since)
        outputs = [self.fresh()] if out is None else [out] if isinstance(out, str) else list(out)
        given = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(
            helper.make_node(kind, list(inputs), outputs, name=outputs[0], domain=domain, **given)
        )
        return outputs[0]

    def fresh(self) -> str:
        """A new name for a helper tensor of the node that is being written."""
        while True:
            count = self._helpers.get(self._base, 0) + 1
            self._helpers[self._base] = count
            name = f"{self._base}~{count}"
            if name not in self._taken:
                return name

    def value(self, node: Node) -> str:
        """The name of the node's value; a constant is stored at its first use."""
        name = self.names[node]
        if self.is_constant(node) and name not in self._stored:
            self._stored.add(name)
            self._store(node, name)
        return name

    def _store(self, node: Node, name: str) -> None:
        if self.packs(node):
            base, self._base = self._base, name
            self._handlers[Const](self, node)
            self._base = base
            return
        shape = tuple(d for d in node.type.shape if isinstance(d, int))
        self.promise(name, node.type.elem.storage, shape, lambda: self.load(node))
        if isinstance(node, Const):
            planes = ((name, 8 * node.type.elem.storage.itemsize),)
            self.held.setdefault(node, Held(planes))

    def promise(
        self,
        name: str,
        dtype: np.dtype[np.generic],
        shape: tuple[int, ...],
        load: Callable[[], Array],
    ) -> str:
        """Adds a named initializer that is loaded when the file is written."""
        self.initializers[name] = Initializer(name, dtype, shape, load)
        return name

    def constant(self, values: Any, dtype: Any) -> str:
        """A small constant; equal ones are stored once."""
        array = np.array(values, dtype)
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self._small:
            self._small[key] = self.promise(self.fresh(), array.dtype, array.shape, lambda: array)
        return self._small[key]

    def unshared(self, values: Any, dtype: Any) -> str:
        """A small constant of one reader's own."""
        array = np.array(values, dtype)
        return self.promise(self.fresh(), array.dtype, array.shape, lambda: array)

    def cast(self, name: str, dtype: Any, *, out: str | None = None) -> str:
        """The same numbers in another format; integers that do not fit lose high bits."""
        return self.op("Cast", [name], out=out, to=code(np.dtype(dtype)))

    @property
    def stored(self) -> list[Initializer]:
        """The initializers that an operator or an output reads."""
        read = {name for node in self.nodes for name in node.input}
        read.update(name for name, _ in self.graph.outputs)
        return [t for t in self.initializers.values() if t.name in read]

    def is_constant(self, node: Node) -> bool:
        """True when the value depends on no input (and the node's kind is not kept as written)."""
        return node in self._constant

    def load(self, node: Node) -> Array:
        """The value of a constant node, worked out now and not kept."""
        if isinstance(node, Const):
            return node.array
        return node.evaluate(*(self.load(operand) for operand in node.operands))

    def _find_constants(self) -> set[Node]:
        found: set[Node] = set()
        for node in self.graph.nodes:
            leaf = isinstance(node, Const)
            inner = bool(node.operands) and all(o in found for o in node.operands)
            if leaf or (inner and not isinstance(node, self._keeps)):
                found.add(node)
        return found


def code(dtype: np.dtype[np.generic]) -> int:
    """ONNX's number of a numpy dtype."""
    return int(helper.np_dtype_to_tensor_dtype(dtype))


def value_info(name: str, elem: Scalar, shape: Iterable[int | Symbol]) -> onnx.ValueInfoProto:
    """A typed name; open dimensions by their symbol."""
    dims = [d if isinstance(d, int) else str(d) for d in shape]
    return helper.make_tensor_value_info(name, code(elem.storage), dims)
