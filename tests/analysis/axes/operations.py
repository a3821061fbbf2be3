"""One small node in float64 for each operation that the table of laws knows."""

import numpy as np

from qcompile.ir.node import Node
from qcompile.ir.ops import binary, linear, norm, pointwise, pool, reduce, resize, shape
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.source import Const, const


def reals(*lengths: int, seed: int = 0) -> Const:
    """Seeded reals between 0.2 and 2, of either sign from seed 10 on."""
    rng = np.random.default_rng((seed, *lengths))
    values = rng.uniform(0.2, 2.0, lengths)
    return const(values if seed < 10 else values * rng.choice((-1.0, 1.0), lengths))


def signed(*lengths: int, seed: int = 0) -> Const:
    """Seeded reals of either sign."""
    return reals(*lengths, seed=seed + 10)


def whole(*values: int) -> Const:
    """Indices."""
    return const(np.array(values, np.int64))


X, Y, V = signed(2, 3, 4), signed(2, 3, 4, seed=1), signed(4, seed=2)
P, ONE = reals(2, 3, 4), const(np.array(0.7))
TRUE = const(np.random.default_rng(3).integers(0, 2, (2, 3, 4)).astype(np.bool_))
ROWS = const(np.array([[[True], [False], [True]], [[False], [True], [True]]]))
PICTURE = signed(2, 4, 5, 5)
SAME = const(np.full(4, 1.3))
WINDOW = ((2, 2), (2, 2), (0,) * 4, (1, 1))

CURVES: dict[str, Node] = {
    cls.__name__: cls(X)
    for cls in (
        pointwise.Relu, pointwise.LeakyRelu, pointwise.Abs, pointwise.Neg, pointwise.Gelu,
        pointwise.GeluTanh, pointwise.Silu, pointwise.Sigmoid, pointwise.Tanh, pointwise.Exp,
        pointwise.Erf, pointwise.Softplus, pointwise.Mish, pointwise.HardSwish, pointwise.Elu,
        pointwise.Sin, pointwise.Round,
    )
}  # fmt: skip
POWERS: dict[str, Node] = {
    "relu6": pointwise.Clip(X, 0.0, 1.0),
    "clip at zero": pointwise.Clip(X, 0.0, np.inf),
    "Sqrt": pointwise.Sqrt(P),
    "Reciprocal": pointwise.Reciprocal(P),
    "Log": pointwise.Log(P),
    "square": binary.Pow(X, const(np.array(2.0))),
    "cube root of the square": binary.Pow(P, const(np.array(2 / 3))),
}
BINARY: dict[str, Node] = {
    "add": binary.Add(X, Y),
    "add a vector": binary.Add(X, V),
    "add a number": binary.Add(X, ONE),
    "subtract": binary.Sub(X, Y),
    "multiply": binary.Mul(X, Y),
    "multiply by a vector": binary.Mul(X, V),
    "multiply by a number": binary.Mul(X, ONE),
    "a factor for each token": binary.Mul(X, signed(2, 3, 1)),
    "divide": binary.Div(X, P),
    "divide by a number": binary.Div(X, ONE),
    "divide a number": binary.Div(ONE, P),
    "greatest": binary.Maximum(X, Y),
    "not below a number": binary.Maximum(X, ONE),
    "prelu": binary.Prelu(X, reals(1)),
    "prelu by channel": binary.Prelu(X, reals(4)),
    "choose": binary.Where(TRUE, X, Y),
    "choose tokens": binary.Where(ROWS, X, Y),
    "mask": binary.Where(ROWS, X, const(np.array(0.0))),
    "mask by a number": binary.Where(ROWS, X, ONE),
}
CONTRACTIONS: dict[str, Node] = {
    "matmul": linear.MatMul(X, signed(4, 5)),
    "matmul with a bias": linear.MatMul(X, signed(4, 5), signed(5)),
    "matmul of batches": linear.MatMul(signed(2, 3, 4, 5), signed(2, 3, 5, 2)),
    "matmul, one batch spread": linear.MatMul(signed(2, 3, 4, 5), signed(3, 5, 2)),
    "conv": linear.Conv(PICTURE, signed(3, 4, 3, 3), signed(3), pads=(1, 1, 1, 1)),
    "conv in groups": linear.Conv(PICTURE, signed(6, 2, 3, 3), signed(6), groups=2),
    "depthwise conv": linear.Conv(PICTURE, signed(4, 1, 3, 3), None, groups=4),
    "depthwise conv, two each": linear.Conv(PICTURE, signed(8, 1, 3, 3), None, groups=4),
    "transposed conv": linear.ConvTranspose(PICTURE, signed(4, 3, 2, 2), signed(3), (2, 2)),
    "transposed conv in groups": linear.ConvTranspose(PICTURE, signed(4, 3, 2, 2), groups=2),
    "hadamard": Hadamard(X, 2, 4, 5),
}
NORMS: dict[str, Node] = {
    "rms norm": norm.RmsNorm(X, V, 2, 0.5),
    "rms norm, one scale": norm.RmsNorm(X, SAME, 2, 0.5),
    "rms norm, no scale": norm.RmsNorm(X, None, 2, 0.5),
    "rms norm over two axes": norm.RmsNorm(X, None, 1, 0.5),
    "layer norm": norm.LayerNorm(X, V, signed(4, seed=3), 2, 0.5),
    "layer norm, no scale": norm.LayerNorm(X, None, None, 2, 0.5),
    "batch norm": norm.BatchNorm(PICTURE, reals(4), signed(4), signed(4, seed=1), reals(4, seed=1)),
    "softmax": reduce.Softmax(X, 2),
    "sum": reduce.ReduceSum(X, (1,)),
    "mean, axis dropped": reduce.ReduceMean(X, (1,), keepdims=False),
    "max": reduce.ReduceMax(X, (1,)),
    "length": reduce.ReduceL2(X, (2,)),
    "argmax": reduce.ArgMax(signed(2, 3, 30), 2),
    "max pool": pool.MaxPool(PICTURE, *WINDOW),
    "average pool": pool.AveragePool(PICTURE, *WINDOW),
}
MOVES: dict[str, Node] = {
    "split an axis": shape.Reshape(signed(2, 12), (2, 3, 4)),
    "join axes": shape.Reshape(X, (2, 12)),
    "regroup axes": shape.Reshape(signed(2, 6, 4), (2, 3, 8)),
    "cut across factors": shape.Reshape(signed(4, 6), (6, 4)),
    "transpose": shape.Transpose(X, (2, 0, 1)),
    "concat": shape.Concat((X, signed(2, 3, 5)), 2),
    "slice": shape.Slice(X, (2,), (1,), (3,), (1,)),
    "every other": shape.Slice(X, (2,), (1,), (4,), (2,)),
    "backwards": shape.Slice(X, (2,), (3,), (-1,), (-1,)),
    "expand": shape.Expand(signed(2, 1, 4), (2, 3, 4)),
    "look up": shape.Gather(signed(7, 4), const(np.array([[1, 5, 5], [0, 2, 6]])), 0),
    "pick one": shape.Gather(X, const(np.array(1)), 1),
    "pad with zeros": shape.Pad(X, (0, 1, 0, 0, 0, 0)),
    "pad with a number": shape.Pad(X, (0, 1, 0, 0, 0, 0), value=0.5),
    "resize": resize.ResizeNearest(PICTURE, ((0, 0, 1), (0, 1, 1))),
    "resize linearly": resize.ResizeLinear(PICTURE, ((0, 1), (1, 2)), ((0.5, 0.25), (0.1, 0.2))),
}
OPERATIONS = CURVES | POWERS | BINARY | CONTRACTIONS | NORMS | MOVES
