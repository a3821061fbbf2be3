"""A Llama of any size as a graph, with weights that are drawn when they are asked for.

For speed and memory tests: the layers of a 7 B model cost nothing until something reads them.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from qcompile.ir.blob import Blob
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul, Where
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.norm import RmsNorm
from qcompile.ir.ops.pointwise import Neg, Silu
from qcompile.ir.ops.reduce import Softmax
from qcompile.ir.ops.shape import Concat, Expand, Gather, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import F32, I64, Array, TensorType
from qcompile.models.llama import Shape


def llama_graph(shape: Shape, length: int, *, seed: int = 0, peak: float = 1.0) -> Graph:
    """i64[1, length] of tokens → f32[1, length, vocabulary]; the function of `llama.Llama`.

    Weights are normal, each from its own seed, and kept by no one. Names are those of the module.
    Every 1024th channel that the embedding gives is `peak` times as large as the others.
    """
    return _Builder(shape, length, seed, peak).graph()


@dataclass
class _Builder:
    shape: Shape
    length: int
    seed: int
    peak: float
    drawn: int = 0

    def graph(self) -> Graph:
        s = self.shape
        tokens = Input(TensorType((1, self.length), I64), name="tokens")
        embed = self.weight("embed.weight", s.vocabulary, s.width, deviation=0.02, peak=self.peak)
        x: Node = Gather(embed, tokens, 0, name="embed")
        for i in range(s.layers):
            x = self.block(x, f"blocks.{i}")
        x = self.norm(x, "norm")
        head = _turned(embed) if s.tied else self.weight("head.weight", s.width, s.vocabulary)
        return Graph("llama", (tokens,), (("output", MatMul(x, head, name="head")),))

    def block(self, x: Node, name: str) -> Node:
        """x + attention(norm(x)), then x + mlp(norm(x))."""
        normal = self.norm(x, f"{name}.attention_norm")
        x = Add(x, self.attention(normal, f"{name}.attention"), name=f"{name}.attended")
        normal = self.norm(x, f"{name}.mlp_norm")
        gate = Silu(self.linear(normal, f"{name}.mlp.gate", self.shape.hidden))
        up = self.linear(normal, f"{name}.mlp.up", self.shape.hidden)
        down = self.linear(Mul(gate, up), f"{name}.mlp.down", self.shape.width)
        return Add(x, down, name=name)

    def attention(self, x: Node, name: str) -> Node:
        """Causal, with shared heads of keys and values."""
        s, size = self.shape, self.shape.width // self.shape.heads
        q = self.turned(self.heads(x, f"{name}.q", s.heads))
        k = self.turned(self.heads(x, f"{name}.k", s.kv_heads))
        v = self.heads(x, f"{name}.v", s.kv_heads)
        k, v = self.shared(k), self.shared(v)
        q = Mul(q, const(np.array(1 / sqrt(size), np.float32)))
        scores = MatMul(q, Transpose(k, (0, 1, 3, 2)), name=f"{name}.scores")
        seen = const(np.tril(np.ones((self.length, self.length), np.bool_)))
        weights = Softmax(Where(seen, scores, const(np.array(-1e9, np.float32))), 3)
        y = Transpose(MatMul(weights, v, name=f"{name}.gathered"), (0, 2, 1, 3))
        return self.linear(Reshape(y, (1, self.length, s.width)), f"{name}.o", s.width)

    def heads(self, x: Node, name: str, count: int) -> Node:
        """A projection as [1, heads, length, size]."""
        size = self.shape.width // self.shape.heads
        y = self.linear(x, name, count * size)
        return Transpose(Reshape(y, (1, self.length, count, size)), (0, 2, 1, 3))

    def shared(self, x: Node) -> Node:
        """Each head as often as several query heads read it."""
        _, heads, length, size = x.type.shape
        wanted = self.shape.heads
        if heads == wanted or not isinstance(heads, int):
            return x
        wide = Expand(
            Reshape(x, (1, heads, 1, length, size)), (1, heads, wanted // heads, length, size)
        )
        return Reshape(wide, (1, wanted, length, size))

    def turned(self, x: Node) -> Node:
        """Rotary positions."""
        size = self.shape.width // self.shape.heads
        frequency = np.float32(10000) ** (-np.arange(0, size, 2, dtype=np.float32) / size)
        angle = np.arange(self.length, dtype=np.float32)[:, None] * np.tile(frequency, 2)
        left, right = (
            Slice(x, (3,), (start,), (start + size // 2,), (1,)) for start in (0, size // 2)
        )
        across = Mul(Concat((Neg(right), left), 3), const(np.sin(angle)))
        return Add(Mul(x, const(np.cos(angle))), across)

    def norm(self, x: Node, name: str) -> Node:
        """A root mean square norm over the last axis."""
        scale = const(np.ones(self.shape.width, np.float32), name=f"{name}.weight")
        return RmsNorm(x, scale, x.type.rank - 1, 1e-5, name=name)

    def linear(self, x: Node, name: str, columns: int) -> Node:
        """A product with a weight [rows, columns]."""
        rows = x.type.shape[-1]
        assert isinstance(rows, int)
        return MatMul(x, self.weight(f"{name}.weight", rows, columns), name=name)

    def weight(
        self, name: str, rows: int, columns: int, *, deviation: float = 0.0, peak: float = 1.0
    ) -> Const:
        """Normal numbers; of deviation 1/√rows unless one is given."""
        self.drawn += 1
        place = (self.seed, self.drawn)
        spread = np.full(columns, deviation or 1 / sqrt(rows), np.float32)
        spread[::1024] *= np.float32(peak)

        def load() -> Array:
            found = np.random.default_rng(place).standard_normal((rows, columns), np.float32)
            found *= spread
            return found

        return Const(Blob((rows, columns), np.dtype(np.float32), load), F32, name=name)


def _turned(weight: Const) -> Const:
    data = weight.data
    flipped = Blob(data.shape[::-1], data.dtype, lambda: data.array().T)
    return Const(flipped, weight.elem, name=f"{weight.name}.T")
