"""Random small convolutional networks: valid by construction, of sane magnitude, seeded.

`random_graph(seed)` is a function of its seed alone; `graphs()` is the same generator driven by
hypothesis, so that a failure shrinks to fewer and simpler layers.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from hypothesis import strategies as st

from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.norm import BatchNorm
from qcompile.ir.ops.pointwise import Clip, HardSwish, LeakyRelu, Relu, Sigmoid
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.reduce import ReduceMean, Softmax
from qcompile.ir.ops.resize import ResizeNearest
from qcompile.ir.ops.shape import Concat, Reshape
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import f32
from qcompile.passes.online_hadamard import edge_of, insert_online

T = TypeVar("T")


class Pick(Protocol):
    """Chooses one of several; the first is the simplest."""

    def __call__(self, options: Sequence[T]) -> T: ...


def random_graph(seed: int) -> Graph:
    """The network of this seed."""
    rng = np.random.default_rng(seed)

    def pick(options: Sequence[T]) -> T:
        return options[int(rng.integers(len(options)))]

    return build(pick, seed=seed)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Networks that shrink toward one plain layer."""

    def pick(options: Sequence[T]) -> T:
        return draw(st.sampled_from(options))

    return build(pick, seed=draw(st.integers(0, 1000)))


def build(pick: Pick, *, seed: int) -> Graph:
    """One to seven layers, then perhaps a classifier; some read transformed channels."""
    net = _Net(pick, seed)
    x = Input(f32(pick((1, 2)), pick((1, 3, 4, 8)), pick((8, 5, 11)), pick((8, 6, 9))), name="x")
    layers = pick((1, 2, 3, 4, 5, 6, 7))
    y: Node = x
    for _ in range(layers):
        y = pick(LAYERS)(net, y)
    y = pick((_no_head, _no_head, _classifier, _classifier, _soft_classifier))(net, y)
    return _turned(pick, Graph(f"random_{seed}", (x,), (("y", y),)))


def _turned(pick: Pick, graph: Graph) -> Graph:
    """Hadamard transforms before a few contractions, in blocks that fit."""
    sizes: dict[str, int] = {}
    for node in graph.nodes:
        edge = edge_of(node)
        if edge is not None:
            fitting = [s for s in (4, 8, 12, 16) if edge.length % s == 0]
            sizes[node.name] = pick((0, 0, *fitting))
    return insert_online(graph, {name: s for name, s in sizes.items() if s}, seed=pick((0, 1)))


class _Net:
    """Choices, weights and names of one network in the making."""

    def __init__(self, pick: Pick, seed: int) -> None:
        self.pick = pick
        self.rng = np.random.default_rng((seed, 1))
        self.count = 0

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def weight(self, *shape: int, fan: int) -> Const:
        values = self.rng.standard_normal(shape) * np.sqrt(2 / fan)
        return const(values.astype(np.float32), name=self.name("w"))

    def uniform(self, low: float, high: float, size: int) -> Const:
        values = self.rng.uniform(low, high, size)
        return const(values.astype(np.float32), name=self.name("p"))

    def bias(self, size: int) -> Const | None:
        return self.pick((lambda: None, lambda: self.uniform(-0.5, 0.5, size)))()

    def conv(self, x: Node) -> Node:
        """Any kernel that fits, dense, grouped or depthwise."""
        pick, channels = self.pick, static(x.type.shape)[1]
        groups = pick([g for g in (1, channels, 2) if channels % g == 0])
        out = groups * pick((2, 1, 3)) if groups > 1 else pick((4, 8, 6, 16))
        pads = pick(((1, 1, 1, 1), (0, 0, 0, 0), (1, 0, 2, 1)))
        stride, wanted = pick(((1, 1), (2, 2), (1, 2))), pick((3, 1, 2))
        room = [static(x.type.shape)[2 + i] + pads[i] + pads[2 + i] for i in range(2)]
        kernel = min(wanted, *room)
        dilation = pick([d for d in (1, 2) if d * (kernel - 1) + 1 <= min(room)])
        per_group = channels // groups
        w = self.weight(out, per_group, kernel, kernel, fan=per_group * kernel * kernel)
        return Conv(
            x, w, self.bias(out), stride, pads, (dilation,) * 2, groups, name=self.name("conv")
        )


def _conv(net: _Net, x: Node) -> Node:
    return net.conv(x)


def _conv_relu(net: _Net, x: Node) -> Node:
    return Relu(net.conv(x), name=net.name("relu"))


def _conv_norm_act(net: _Net, x: Node) -> Node:
    return _activation(net, _norm(net, net.conv(x)))


def _norm(net: _Net, x: Node) -> Node:
    n = static(x.type.shape)[1]
    gamma, beta = net.uniform(0.5, 1.5, n), net.uniform(-0.5, 0.5, n)
    mean, var = net.uniform(-0.5, 0.5, n), net.uniform(0.5, 2.0, n)
    return BatchNorm(x, gamma, beta, mean, var, name=net.name("norm"))


def _activation(net: _Net, x: Node) -> Node:
    makers: tuple[Callable[[Node, str], Node], ...] = (
        lambda x, name: Relu(x, name=name),
        lambda x, name: Clip(x, 0.0, 6.0, name=name),
        lambda x, name: Clip(x, -1.0, 1.5, name=name),
        lambda x, name: LeakyRelu(x, 0.1, name=name),
        lambda x, name: HardSwish(x, name=name),
        lambda x, name: Sigmoid(x, name=name),
    )
    return net.pick(makers)(x, net.name("act"))


def _pool(net: _Net, x: Node) -> Node:
    _, _, h, w = static(x.type.shape)
    kernel = net.pick([k for k in (2, 3, 1) if k <= min(h, w)])
    pad = net.pick([p for p in (0, 1) if p < kernel])
    kernels, pads, ones = (kernel,) * 2, (pad,) * 4, (1, 1)
    stride, ceil = net.pick(((2, 2), (1, 1), (2, 1))), net.pick((False, True))
    if net.pick((True, False)):
        return MaxPool(x, kernels, stride, pads, ones, ceil, name=net.name("max"))
    border, name = net.pick((False, True)), net.name("average")
    return AveragePool(x, kernels, stride, pads, ones, ceil, border, name=name)


def _residual(net: _Net, x: Node) -> Node:
    """x + f(x), perhaps with an activation behind."""
    y = Add(x, _same_size(net, x), name=net.name("add"))
    return _activation(net, y) if net.pick((True, False)) else y


def _concat(net: _Net, x: Node) -> Node:
    if static(x.type.shape)[1] > 24:
        return net.conv(x)
    other = _activation(net, _same_size(net, x))
    return Concat(net.pick(((x, other), (other, x))), 1, name=net.name("concat"))


def _same_size(net: _Net, x: Node) -> Node:
    n = static(x.type.shape)[1]
    w = net.weight(n, n, 3, 3, fan=9 * n)
    return Conv(x, w, net.bias(n), pads=(1, 1, 1, 1), name=net.name("conv"))


def _upsample(net: _Net, x: Node) -> Node:
    _, _, h, w = static(x.type.shape)
    if h * w > 150:
        return _activation(net, x)
    twice = tuple(tuple(i // 2 for i in range(2 * length)) for length in (h, w))
    return ResizeNearest(x, twice, name=net.name("resize"))


def _transposed(net: _Net, x: Node) -> Node:
    _, n, h, w = static(x.type.shape)
    if h * w > 150:
        return _activation(net, x)
    groups = net.pick([g for g in (1, 2) if n % g == 0])
    out, kernel = net.pick((2, 4)), net.pick((3, 2))
    weight = net.weight(n, out, kernel, kernel, fan=n)
    pad = net.pick([p for p in (0, 1) if p < min(h, w)])
    extra = net.pick((0, 1))
    return ConvTranspose(
        x, weight, net.bias(out * groups), (2, 2), (pad,) * 4, (1, 1), (extra,) * 2, groups,
        name=net.name("up"),
    )  # fmt: skip


def _no_head(net: _Net, x: Node) -> Node:
    return x


def _classifier(net: _Net, x: Node) -> Node:
    """Global mean or plain flattening, then a matrix product."""
    if net.pick((True, False)):
        x = ReduceMean(x, (2, 3), name=net.name("mean"))
    n, *rest = static(x.type.shape)
    features = int(np.prod(rest))
    flat = Reshape(x, (n, features), name=net.name("flat"))
    w = net.weight(features, 10, fan=features)
    return MatMul(flat, w, net.bias(10), name=net.name("logits"))


def _soft_classifier(net: _Net, x: Node) -> Node:
    return Softmax(_classifier(net, x), 1, name=net.name("softmax"))


LAYERS: tuple[Callable[[_Net, Node], Node], ...] = (
    _conv_relu, _conv, _conv_norm_act, _conv_norm_act, _pool, _residual, _residual, _concat,
    _activation, _norm, _upsample, _transposed,
)  # fmt: skip
