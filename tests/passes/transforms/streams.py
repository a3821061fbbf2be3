"""A small pre-norm network over tokens, some channels of its stream far out: for rotations."""

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.norm import RmsNorm
from qcompile.ir.ops.pointwise import Silu
from qcompile.ir.ops.shape import Gather
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import I64, TensorType
from qcompile.ir.widths import W4A4
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.recipe import Recipe

LENGTH, WIDTH, HIDDEN, WORDS = 16, 32, 64, 40
FOUR_BITS = Recipe(widths=WidthRule(default=W4A4, ends=W4A4))


def stream(*, outlier: float = 30.0, seed: int = 0) -> Graph:
    """ids → table → two gated blocks → head; one channel of the stream is `outlier` times as large
    as the others."""
    rng = np.random.default_rng(seed)

    def weight(rows: int, columns: int, name: str) -> Const:
        values = rng.normal(size=(rows, columns)) / np.sqrt(rows)
        if name == "embed":
            values[:, 3] *= outlier
        return const(values.astype(np.float32), name=name)

    ids = Input(TensorType((1, LENGTH), I64), name="ids")
    x: Node = Gather(weight(WORDS, WIDTH, "embed"), ids, 0, name="stream")
    for name in ("block0", "block1"):
        y = RmsNorm(x, None, axis=2, name=f"{name}.norm")
        up = MatMul(y, weight(WIDTH, HIDDEN, f"{name}.up"), name=f"{name}.up")
        gate = MatMul(y, weight(WIDTH, HIDDEN, f"{name}.gate"), name=f"{name}.gate")
        inner = Mul(up, Silu(gate), name=f"{name}.inner")
        down = MatMul(inner, weight(HIDDEN, WIDTH, f"{name}.down"), name=f"{name}.down")
        x = Add(x, down, name=f"{name}.stream")
    head = MatMul(RmsNorm(x, None, axis=2, name="norm"), weight(WIDTH, WORDS, "head"), name="head")
    return Graph("net", (ids,), (("logits", head),))


def samples(count: int = 8) -> list[tuple[np.ndarray, ...]]:
    """Rows of words."""
    rng = np.random.default_rng(1)
    return [(rng.integers(0, WORDS, (1, LENGTH)),) for _ in range(count)]


def logits(graph: Graph) -> np.ndarray:
    """Of a row that no pass saw."""
    row = np.random.default_rng(2).integers(0, WORDS, (1, LENGTH))
    ((_, found),) = graph.values((row,), keep=graph.results)
    return found
