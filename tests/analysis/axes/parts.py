"""Parts of small networks in float64, for tests of the analysis of axes: seeded and named.

Attention, rotary embeddings and gates arrive as an importer leaves them: products, sums, slices.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.norm import LayerNorm, RmsNorm
from qcompile.ir.ops.pointwise import Neg, Silu
from qcompile.ir.ops.reduce import Softmax
from qcompile.ir.ops.shape import Concat, Expand, Gather, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import F64, I64, TensorType

TOKENS, WIDTH, VOCABULARY, HEAD = 5, 16, 11, 4
Inner = Callable[[Node], Node]


class Parts:
    """Seeded weights and the layers made of them."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def weight(self, *shape: int, name: str) -> Const:
        return const(self.rng.standard_normal(shape) / np.sqrt(shape[0]), name=name)

    def around_one(self, n: int, *, name: str) -> Const:
        return const(self.rng.uniform(0.5, 1.5, n), name=name)

    def linear(self, x: Node, out: int, name: str, *, bias: bool = False) -> MatMul:
        width = static(x.type.shape)[-1]
        b = self.weight(out, name=f"{name}.b") if bias else None
        return MatMul(x, self.weight(width, out, name=f"{name}.w"), b, name=name)

    def rms(self, x: Node, name: str) -> RmsNorm:
        gamma = self.around_one(static(x.type.shape)[-1], name=f"{name}.g")
        return RmsNorm(x, gamma, x.type.rank - 1, name=name)

    def layer(self, x: Node, name: str) -> LayerNorm:
        width = static(x.type.shape)[-1]
        gamma, beta = self.around_one(width, name=f"{name}.g"), self.weight(width, name=f"{name}.b")
        return LayerNorm(x, gamma, beta, x.type.rank - 1, name=name)

    def embedding(self, ids: Node, width: int = WIDTH) -> Node:
        return Gather(self.weight(VOCABULARY, width, name="embed.w"), ids, 0, name="embed")

    def gated(self, x: Node, hidden: int, name: str, act: type[Silu] = Silu) -> Node:
        """down(up(x) · act(gate(x)))."""
        up = self.linear(x, hidden, f"{name}.up")
        gate = self.linear(x, hidden, f"{name}.gate")
        inner = Mul(up, act(gate), name=f"{name}.act")
        return self.linear(inner, static(x.type.shape)[-1], f"{name}.down")


def tokens(count: int = TOKENS) -> Input:
    """Token numbers, [1, count]."""
    return Input(TensorType((1, count), I64), name="ids")


def values(*shape: int, name: str = "x") -> Input:
    """Reals in float64."""
    return Input(TensorType(shape, F64), name=name)


def graph(*inputs: Input, **outputs: Node) -> Graph:
    """A graph of these inputs and outputs."""
    return Graph("net", inputs, tuple(outputs.items()))


def heads(x: Node, count: int) -> Node:
    """[1, t, count·d] → [1, count, t, d]."""
    _, t, width = static(x.type.shape)
    return Transpose(Reshape(x, (1, t, count, width // count)), (0, 2, 1, 3))


def joined(x: Node, name: str = "") -> Node:
    """[1, h, t, d] → [1, t, h·d]."""
    _, h, t, d = static(x.type.shape)
    return Reshape(Transpose(x, (0, 2, 1, 3)), (1, t, h * d), name=name)


def repeated(x: Node, groups: int) -> Node:
    """Each head of [1, kv, t, d] `groups` times in a row."""
    if groups == 1:
        return x
    _, kv, t, d = static(x.type.shape)
    spread = Expand(Reshape(x, (1, kv, 1, t, d)), (1, kv, groups, t, d))
    return Reshape(spread, (1, kv * groups, t, d))


def tables(length: int, d: int) -> tuple[Const, Const]:
    """cos and sin of position · frequency, both halves alike: [1, 1, length, d]."""
    angles = np.arange(length)[:, None] / 100 ** (np.arange(d // 2) / (d / 2))[None]
    doubled = np.concatenate([angles, angles], -1)[None, None]
    return const(np.cos(doubled), name="cos"), const(np.sin(doubled), name="sin")


def rotary(x: Node, cos: Node, sin: Node, name: str = "") -> Node:
    """x · cos + (−x₂, x₁) · sin along the last axis."""
    axis, d = x.type.rank - 1, static(x.type.shape)[-1]
    low = Slice(x, (axis,), (0,), (d // 2,), (1,))
    high = Slice(x, (axis,), (d // 2,), (d,), (1,))
    return Add(Mul(x, cos), Mul(Concat((Neg(high), low), axis), sin), name=name)


def attention(q: Node, k: Node, v: Node, *, causal: bool = True) -> Node:
    """softmax(q kᵀ / √d + mask) v, of [1, h, t, d]."""
    _, _, t, d = static(q.type.shape)
    scores = Mul(MatMul(q, Transpose(k, (0, 1, 3, 2))), const(np.array(1 / np.sqrt(d))))
    if causal:
        mask: NDArray[np.float64] = np.triu(np.full((t, t), -1e9), 1)[None, None]
        scores = Add(scores, const(mask, name="mask"))
    return MatMul(Softmax(scores, 3), v)
