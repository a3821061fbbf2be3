"""Attention with rotary positions, one channel of queries and of keys far out: for transforms that
stand between two computed factors."""

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.pointwise import Neg
from qcompile.ir.ops.reduce import Softmax
from qcompile.ir.ops.shape import Concat, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import f32

LENGTH, WIDTH, HEADS, HEAD = 8, 32, 2, 16


def attention(*, outlier: float = 1.0) -> Graph:
    """softmax(q·kᵀ)·v behind rotary positions, one channel of each head of q and of k `outlier`
    times as large as the others: no scale between them evens that out."""
    rng = np.random.default_rng(0)
    x = Input(f32(1, LENGTH, WIDTH), name="x")

    def projected(name: str, factor: float = 1.0) -> Node:
        values = rng.standard_normal((WIDTH, HEADS, HEAD)) / np.sqrt(WIDTH)
        values[:, :, 3] *= factor
        weight: Const = const(values.reshape(WIDTH, -1).astype(np.float32), name=f"{name}.w")
        split = Reshape(MatMul(x, weight, name=name), (1, LENGTH, HEADS, HEAD))
        return Transpose(split, (0, 2, 1, 3))

    q, k = rotary(projected("q", outlier), "q.at"), rotary(projected("k", outlier), "k.at")
    scores = MatMul(q, Transpose(k, (0, 1, 3, 2)), name="scores")
    near = Mul(scores, const(np.full((1,), outlier**-2 / np.sqrt(HEAD), np.float32)))
    mixed = MatMul(Softmax(near, 3, name="weights"), projected("v"), name="mixed")
    flat = Reshape(Transpose(mixed, (0, 2, 1, 3)), (1, LENGTH, WIDTH))
    last = const((rng.standard_normal((WIDTH, WIDTH)) / 6).astype(np.float32), name="o.w")
    return Graph("attention", (x,), (("y", MatMul(flat, last, name="o")),))


def rotary(x: Node, name: str) -> Node:
    """Pairs i and i + 8 of [1, heads, length, 16] turned by the angle of their place."""
    half = HEAD // 2
    angle = np.arange(LENGTH)[:, None] * np.tile(100.0 ** (-np.arange(half) / half), 2)
    sides = [Slice(x, (3,), (start,), (start + half,), (1,)) for start in (0, half)]
    across = Concat((Neg(sides[1]), sides[0]), 3)
    cos, sin = (const(f(angle).astype(np.float32)) for f in (np.cos, np.sin))
    return Add(Mul(x, cos), Mul(across, sin), name=name)


def samples(count: int = 4) -> list[tuple[np.ndarray, ...]]:
    """Normal vectors."""
    rng = np.random.default_rng(1)
    return [(rng.standard_normal((1, LENGTH, WIDTH)).astype(np.float32),) for _ in range(count)]
