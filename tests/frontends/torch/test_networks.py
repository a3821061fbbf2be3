"""Whole networks, and what a graph keeps of the module it came from."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from comparing import Function, agree, compare, noise, read_function
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan
from torch.export import Dim

from qcompile.errors import BadModel, UnsupportedOps, UsageError
from qcompile.frontends.torch_export import read_torch
from qcompile.ir.dims import Symbol
from qcompile.ir.ops.source import Const
from qcompile.models.mobilenet import mobilenet
from qcompile.models.resnet20 import resnet20
from qcompile.models.unet import unet


class Block(nn.Module):
    """A convolution, one activation used twice, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.act = nn.ReLU()
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(48, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.act(self.conv(x)) + x))


@cache
def dynamic_block() -> tuple[nn.Module, Any]:
    """A block, exported for any batch of up to 16."""
    block = Block().eval()
    batch = {"x": {0: Dim("batch", min=2, max=16)}}
    program = torch.export.export(block, (noise(2, 3, 4, 4),), dynamic_shapes=batch, strict=False)
    return block, program


def test_resnet() -> None:
    compare(resnet20(), noise(1, 1, 28, 28))


def test_mobilenet() -> None:
    compare(mobilenet(), noise(1, 3, 32, 32))


def test_unet() -> None:
    compare(unet(), noise(1, 1, 32, 32))


def test_recurrent_network_is_unrolled() -> None:
    compare(nn.GRU(4, 4), noise(3, 1, 4))


def test_nodes_are_called_as_their_modules() -> None:
    graph = read_torch(Block(), shapes={"x": (1, 3, 4, 4)})
    assert [node.name for node in graph.nodes] == [
        "x",
        "conv.weight",
        "conv.bias",
        "conv",
        "act",
        "add",
        "act_1",
        "head.0",
        "head.1.weight.T",
        "head.1.bias",
        "head.1",
    ]


def test_every_node_has_a_name_of_its_own() -> None:
    graph = compare(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), noise(1, 3, 8))
    names = [node.name for node in graph.nodes]
    assert "" not in names
    assert len(set(names)) == len(names)


def test_weights_are_not_copied() -> None:
    block = Block()
    graph = read_torch(block, shapes={"x": (1, 3, 4, 4)})
    weights = {n.name: n.array for n in graph.nodes if isinstance(n, Const)}
    assert np.shares_memory(weights["conv.weight"], block.conv.weight.detach().numpy())
    linear: Any = block.head[1]
    assert np.shares_memory(weights["head.1.weight.T"], linear.weight.detach().numpy())


def test_module_is_left_in_its_mode() -> None:
    block = Block().train()
    block.conv.eval()
    read_torch(block, shapes={"x": (1, 3, 4, 4)})
    assert [part.training for part in (block, block.conv, block.act)] == [True, False, True]


def test_outputs_take_their_names_from_the_structure() -> None:
    @dataclass
    class Kept:
        mask: Tensor

    torch.export.register_dataclass(Kept)
    graph = read_function(lambda x: {"a": x, "b": [x + 1, (x, x * 2)]}, noise(2))
    assert [name for name, _ in graph.outputs] == ["a", "b_0", "b_1_0", "b_1_1"]
    graph = read_function(lambda x: (Kept(x), x), noise(2))
    assert [name for name, _ in graph.outputs] == ["output_0_mask", "output_1"]


def test_arithmetic_in_half_precision() -> None:
    graph = read_torch(nn.Linear(2, 2).bfloat16(), shapes={"input": (2, 2)})
    assert [str(node.type) for node in graph.results] == ["bf16[2, 2]"]
    assert graph.run(np.ones((2, 2), graph.inputs[0].type.elem.storage))[0].shape == (2, 2)


def test_writing_in_place_is_made_pure() -> None:
    graph = read_function(lambda x: x.relu_().add_(1), noise(2))
    assert [node.op for node in graph.nodes] == ["input", "relu", "const", "add"]


def test_part_without_gradients_is_inlined() -> None:
    def function(x: Tensor) -> Tensor:
        with torch.no_grad():
            y = x.relu()
        return y + 1

    compare(Function(function), noise(3))


def test_state_is_refused() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count = nn.Buffer(torch.zeros(2))

        def forward(self, x: Tensor) -> Tensor:
            return self.count.add_(x) * 2

    with pytest.raises(BadModel, match=r"writes to count .* keeps no state"):
        read_torch(Counter(), inputs=noise(2))


def test_several_inputs_in_their_order() -> None:
    class Sum(nn.Module):
        def forward(self, x: Tensor, y: Tensor, *, scale: float = 2.0) -> Tensor:
            return x + y * scale

    graph = read_torch(Sum(), inputs={"y": noise(2), "x": noise(1)})
    assert [str(node.type) for node in graph.inputs] == ["f32[1]", "f32[2]"]
    agree(graph, Sum(), noise(1), noise(2))


def test_open_batch_stays_open() -> None:
    block, program = dynamic_block()
    graph = read_torch(program)
    assert graph.inputs[0].type.shape == (Symbol("x_0"), 3, 4, 4)
    assert graph.results[0].type.shape == (Symbol("x_0"), 5)
    agree(graph, block, noise(7, 3, 4, 4))


class Recurrent(nn.Module):
    """h = tanh(W·h + b) + row, with what comes of each row."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Any:
        def step(h: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
            h = torch.tanh(self.cell(h)) + row
            return h, h * 2

        last, rows = scan(step, torch.zeros(3), x)
        return {"last": last, "rows": rows}


def test_scan_is_written_out() -> None:
    graph = compare(Recurrent(), noise(5, 3))
    assert sum(node.op == "tanh" for node in graph.nodes) == 5


def test_scan_of_open_length_is_refused() -> None:
    length = {"x": {0: Dim("length", min=2, max=16)}}
    program = torch.export.export(Recurrent(), (noise(5, 3),), dynamic_shapes=length, strict=False)
    with pytest.raises(UnsupportedOps, match="scan"):
        read_torch(program)


def open_positions() -> tuple[nn.Module, Any]:
    """Positions from a table, exported for any length of up to 16."""
    table = noise(16, 4)
    model = Function(lambda x: x + table[: x.shape[1]])
    length = {"x": {1: Dim("length", min=2, max=16)}}
    inputs = (noise(1, 5, 4),)
    return model, torch.export.export(model, inputs, dynamic_shapes=length, strict=False)


def test_table_cut_at_an_open_length_says_what_to_bind() -> None:
    with pytest.raises(UnsupportedOps, match=r"slice.*open length x_1: bind it with --input"):
        read_torch(open_positions()[1])


def test_table_cut_at_a_bound_length() -> None:
    model, program = open_positions()
    agree(read_torch(program, shapes={"x": (1, 7, 4)}), model, noise(1, 7, 4))


def test_shapes_bind_an_open_batch() -> None:
    block, program = dynamic_block()
    graph = read_torch(program, shapes={"x": (3, 3, 4, 4)})
    assert graph.results[0].type.shape == (3, 5)
    agree(graph, block, noise(3, 3, 4, 4))


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        ({"x": (17, 3, 4, 4)}, "axis 0 of input x is 2 to 16: it cannot be 17"),
        ({"x": (2, 3, 4, 5)}, "axis 3 of input x is 4: it cannot be 5"),
        ({"x": (2, 3, 4)}, "input x has 4 axes, the shape given 3"),
        ({"y": (2, 3, 4, 4)}, "no input named y: the model takes x"),
    ],
)
def test_shape_that_the_program_does_not_take(shapes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read_torch(dynamic_block()[1], shapes=shapes)


def test_unknown_operators_are_listed_all_at_once() -> None:
    with pytest.raises(UnsupportedOps) as error:
        read_function(lambda x: (x.sort()[0], x.sort(0)[1], x.cumprod(0), x[x > 0]), noise(4, 4))
    assert str(error.value) == (
        "torch operators without a translation: aten.cumprod.default (1), aten.index.Tensor (1) "
        "[index: a mask picks a number of elements that depends on the values], "
        "aten.sort.default (2). Export the model to ONNX: there such an operator becomes a float "
        "island"
    )


def test_chance_is_no_constant() -> None:
    with pytest.raises(UnsupportedOps, match=r"aten\.rand\.default"):
        read_function(lambda x: x + torch.rand(2), noise(2))


def test_number_known_only_when_the_model_runs() -> None:
    with pytest.raises(UnsupportedOps, match="known only when the model runs"):
        read_function(lambda x: x * x.sum().item(), noise(2))


def test_program_that_trains() -> None:
    program = torch.export.export(nn.BatchNorm2d(3).train(), (noise(2, 3, 4, 4),))
    with pytest.raises(BadModel, match=r"writes to running_mean.* after \.eval"):
        read_torch(program)


def test_weights_without_values() -> None:
    with torch.device("meta"):
        linear = nn.Linear(2, 2)
        x = torch.ones(1, 2)
    with pytest.raises(BadModel, match="weight has no values"):
        read_torch(linear, inputs=x)


def test_complex_numbers() -> None:
    with pytest.raises(BadModel, match=r"torch\.complex64"):
        read_torch(Function(torch.abs), inputs=torch.ones(2, dtype=torch.complex64))
