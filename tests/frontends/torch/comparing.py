"""A torch module against its graph."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qcompile.frontends.torch_export import read_torch
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array


class Function(nn.Module):
    """A function of one tensor as a module."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        """function(x)."""
        return self.function(x)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal, the same each time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def read_function(function: Callable[[Tensor], Any], x: Tensor) -> Graph:
    """The graph of a function."""
    return read_torch(Function(function), inputs=(x,))


def compare_function(function: Callable[[Tensor], Any], x: Tensor) -> Graph:
    """The graph of a function; both agree."""
    return compare(Function(function), x)


def compare(module: nn.Module, *inputs: Tensor) -> Graph:
    """The graph of a module; both agree to 1e-5 of the largest value."""
    graph = read_torch(module, inputs=inputs)
    agree(graph, module, *inputs)
    return graph


def agree(graph: Graph, module: nn.Module, *inputs: Tensor) -> None:
    """Module and graph give the same values under the same names."""
    module.eval()
    with torch.no_grad():
        want = named(module(*inputs))
    found = graph.run(*(x.numpy() for x in inputs))
    got = dict(zip((name for name, _ in graph.outputs), found, strict=True))
    assert list(got) == list(want)
    worst = {name: _distance(got[name], want[name].numpy()) for name in want}
    assert {name: d for name, d in worst.items() if not d <= 1e-5} == {}


def named(result: Any) -> dict[str, Tensor]:
    """The tensors of a result, as the graph's outputs are called."""
    if isinstance(result, Tensor):
        return {"output": result}
    if hasattr(result, "items"):
        return dict(result.items())
    return {f"output_{i}": tensor for i, tensor in enumerate(result)}


def _distance(got: Array, want: Array) -> float:
    if got.shape != want.shape or got.dtype != want.dtype:
        return float("inf")
    if got.size == 0 or np.array_equal(got, want, equal_nan=want.dtype.kind == "f"):
        return 0.0
    a, b = got.astype(np.float64), want.astype(np.float64)
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-6))
