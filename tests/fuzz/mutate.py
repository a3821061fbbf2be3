"""Valid ONNX models, broken a little: a case is a function of its seed alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

from qcompile.targets.onnx.emit import to_onnx
from tests.strategies import random_graph

T = TypeVar("T")
DATA: Final = Path(onnx.__file__).parent / "backend" / "test" / "data"
FOLDERS: Final = ("simple", "pytorch-converted", "pytorch-operator")
SMALL: Final = 200_000  # bytes of a packaged model
NETWORKS: Final = 40  # random ones, beside the packaged
INTEGERS: Final = (0, 1, -1, 2, 3, 7, -2, 100, 2**31 - 1, -(2**31), 2**62, -(2**63))
REALS: Final = (0.0, -0.0, 1.0, -1.0, 1e-30, 1e30, float("inf"), float("-inf"), float("nan"))


@cache
def packaged() -> tuple[Path, ...]:
    """The small models that the onnx package brings along."""
    found = (path for folder in FOLDERS for path in sorted((DATA / folder).glob("*/model.onnx")))
    return tuple(path for path in found if path.stat().st_size < SMALL)


def mutated(seed: int) -> bytes:
    """The file of this seed: one valid model with one to three faults."""
    chance = Chance(seed)
    model = base(chance)
    if chance.below(4) == 0:
        return broken_bytes(chance, model.SerializeToString())
    for _ in range(1 + chance.below(3)):
        chance.one_of(GRAPH_FAULTS)(chance, model.graph, model)
    return model.SerializeToString()


def base(chance: Chance) -> ModelProto:
    """A random network or a packaged model."""
    if chance.below(2):
        return to_onnx(random_graph(chance.below(NETWORKS)))
    return onnx.load(chance.one_of(packaged()))


class Chance:
    """Seeded choices."""

    def __init__(self, seed: int) -> None:
        self._source = np.random.default_rng((seed, 77))

    def below(self, limit: int) -> int:
        """An integer in 0 … limit - 1."""
        return int(self._source.integers(limit))

    def one_of(self, options: Sequence[T]) -> T:
        """One of several."""
        return options[self.below(len(options))]


def broken_bytes(chance: Chance, data: bytes) -> bytes:
    """Cut short, bits turned, a stretch doubled, removed or zeroed."""
    start = chance.below(len(data))
    end = min(len(data), start + 1 + chance.below(40))
    flipped = bytearray(data)
    for _ in range(1 + chance.below(4)):
        flipped[chance.below(len(data))] ^= 1 << chance.below(8)
    doubled = data[:end] + data[start:]
    zeroed = data[:start] + bytes(end - start) + data[end:]
    choices = (data[:start], bytes(flipped), bytes(flipped), doubled, zeroed)
    return chance.one_of((*choices, data[:start] + data[end:]))


Fault = Callable[[Chance, GraphProto, ModelProto], None]


def _names(graph: GraphProto) -> list[str]:
    values = [name for node in graph.node for name in node.output]
    return [*values, *(v.name for v in graph.input), *(t.name for t in graph.initializer), ""]


def _drop_node(chance: Chance, graph: GraphProto, _: ModelProto) -> None:
    if graph.node:
        del graph.node[chance.below(len(graph.node))]


def _bypass_node(chance: Chance, graph: GraphProto, _: ModelProto) -> None:
    """Users of a node's first result read its first operand."""
    nodes = [n for n in graph.node if n.input and n.output]
    if not nodes:
        return
    gone = chance.one_of(nodes)
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == gone.output[0]:
                node.input[i] = gone.input[0]


def _double_node(chance: Chance, graph: GraphProto, _: ModelProto) -> None:
    if graph.node:
        graph.node.add().CopyFrom(chance.one_of(graph.node))


def _move_node(chance: Chance, graph: GraphProto, _: ModelProto) -> None:
    """Order does not matter to a graph, but may to a reader."""
    if graph.node:
        node = graph.node.pop(chance.below(len(graph.node)))
        graph.node.insert(chance.below(len(graph.node) + 1), node)


def _rewire(chance: Chance, graph: GraphProto, _: ModelProto) -> None:
    nodes = [n for n in graph.node if n.input]
    if nodes:
        node = chance.one_of(nodes)
        node.input[chance.below(len(node.input))] = chance.one_of(_names(graph))


def _operands(chance: Chance, graph: GraphProto, _: ModelProto) -> None:
    """One operand fewer, one more, or two of them swapped."""
    nodes = [n for n in graph.node if n.input]
    if not nodes:
        return
    operands = chance.one_of(nodes).input
    match chance.below(3):
        case 0:
            operands.pop()
        case 1:
            operands.append(chance.one_of(_names(graph)))
        case _:
            i, j = chance.below(len(operands)), chance.below(len(operands))
            operands[i], operands[j] = operands[j], operands[i]


def _rename_result(chance: Chance, graph: GraphProto, _: ModelProto) -> None:
    nodes = [n for n in graph.node if n.output]
    if nodes:
        node = chance.one_of(nodes)
        node.output[chance.below(len(node.output))] = chance.one_of(_names(graph))


def _other_op(chance: Chance, graph: GraphProto, _: ModelProto) -> None:
    if graph.node:
        chance.one_of(graph.node).op_type = chance.one_of(OPS)


def _attribute(chance: Chance, graph: GraphProto, _: ModelProto) -> None:
    """Another value, another kind, or none at all."""
    nodes = [n for n in graph.node if n.attribute]
    if not nodes:
        return
    node = chance.one_of(nodes)
    index = chance.below(len(node.attribute))
    if chance.below(6) == 0:
        del node.attribute[index]
        return
    _other_value(chance, node.attribute[index])


def _other_value(chance: Chance, attribute: AttributeProto) -> None:
    match attribute.type:
        case AttributeProto.INT:
            attribute.i = chance.one_of(INTEGERS)
        case AttributeProto.FLOAT:
            attribute.f = chance.one_of(REALS)
        case AttributeProto.STRING:
            attribute.s = chance.one_of((b"", b"NOTSET", b"SAME_UPPER", b"\xff", b"linear"))
        case AttributeProto.INTS if attribute.ints and chance.below(4):
            attribute.ints[chance.below(len(attribute.ints))] = chance.one_of(INTEGERS)
        case AttributeProto.INTS:
            attribute.ints.append(chance.one_of(INTEGERS))
        case AttributeProto.TENSOR:
            _break_tensor(chance, attribute.t)
        case _:
            attribute.type = AttributeProto.INT


def _weight(chance: Chance, graph: GraphProto, _: ModelProto) -> None:
    if graph.initializer:
        _break_tensor(chance, chance.one_of(graph.initializer))


def _break_tensor(chance: Chance, tensor: TensorProto) -> None:
    """Another length, another type, fewer bytes, or strange numbers."""
    match chance.below(6):
        case 0 if tensor.dims:
            tensor.dims[chance.below(len(tensor.dims))] = chance.one_of(INTEGERS)
        case 1 if tensor.dims:
            tensor.dims[:] = list(reversed(tensor.dims))
        case 2:
            tensor.dims.append(chance.one_of((1, 1, 2, 0)))
        case 3:
            tensor.data_type = chance.below(25)
        case 4 if tensor.raw_data:
            tensor.raw_data = tensor.raw_data[: chance.below(len(tensor.raw_data))]
        case _ if tensor.raw_data and tensor.data_type == TensorProto.FLOAT:
            values = np.frombuffer(tensor.raw_data, np.float32).copy()
            values[chance.below(max(1, values.size)) :][:3] = chance.one_of(REALS)
            tensor.raw_data = values.tobytes()
        case _:
            tensor.name += "x"


def _input(chance: Chance, graph: GraphProto, _: ModelProto) -> None:
    """Another length, open or strange; another element type; no shape; another name."""
    if not graph.input:
        return
    value = chance.one_of(graph.input)
    tensor = value.type.tensor_type
    match chance.below(5):
        case 0 if tensor.shape.dim:
            chance.one_of(tensor.shape.dim).dim_value = chance.one_of(INTEGERS[:9])
        case 1 if tensor.shape.dim:
            chance.one_of(tensor.shape.dim).dim_param = "n"
        case 2:
            tensor.elem_type = chance.below(25)
        case 3:
            tensor.ClearField("shape")
        case _:
            value.name = chance.one_of(_names(graph))


def _output(chance: Chance, graph: GraphProto, _: ModelProto) -> None:
    """Another value, or one more."""
    value = chance.one_of(graph.output) if graph.output and chance.below(2) else graph.output.add()
    value.name = chance.one_of(_names(graph))


def _opset(chance: Chance, graph: GraphProto, model: ModelProto) -> None:
    if model.opset_import:
        model.opset_import[0].version = chance.one_of((6, 7, 9, 11, 13, 17, 18, 21, 1, 0, 99))


GRAPH_FAULTS: Final[tuple[Fault, ...]] = (
    _drop_node, _bypass_node, _double_node, _move_node, _rewire, _rewire, _operands,
    _rename_result, _other_op, _attribute, _attribute, _attribute, _weight, _weight, _input,
    _output, _opset,
)  # fmt: skip

OPS: Final[Sequence[Any]] = (
    "Add", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat", "Conv",
    "ConvTranspose", "DepthToSpace", "DequantizeLinear", "Div", "Elu", "Erf", "Exp", "Expand",
    "Flatten", "Gather", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "Identity",
    "InstanceNormalization", "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "MatMul",
    "Max", "MaxPool", "Mean", "Min", "Mul", "Neg", "NoSuchOp", "PRelu", "Pad", "Pow",
    "QuantizeLinear", "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Shape",
    "Sigmoid", "Slice", "Softmax", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh",
    "Tile", "TopK", "Transpose", "Unsqueeze", "Where",
)  # fmt: skip
