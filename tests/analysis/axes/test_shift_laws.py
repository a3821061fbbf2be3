"""Each law of the table of shifts is true of its operation, and nothing beyond it is.

What is added is added by numpy alone; the operation's own parameters take up what they can.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.analysis.axes.laws.law import Factor, Port, Segment
from qcompile.analysis.axes.laws.shifts import shifts_of
from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops import linear, pointwise, reduce, shape
from qcompile.passes.transforms.shift import absorbed
from tests.analysis.axes.operations import OPERATIONS, PICTURE, signed

Values = NDArray[Any]
TRUE, FALSE = 1e-9, 1e-4

P = reduce.Softmax(signed(2, 3, 4, 4), 3)
AVERAGES: dict[str, Node] = {
    "average of values": linear.MatMul(P, pointwise.Neg(signed(2, 3, 4, 5))),
    "average of values of fewer heads": linear.MatMul(P, pointwise.Neg(signed(2, 1, 4, 5))),
    "average behind a view": linear.MatMul(
        shape.Reshape(P, (6, 4, 4)), pointwise.Neg(signed(6, 4, 5))
    ),
    "matmul of a softmax": linear.MatMul(P, signed(4, 5)),
    "pointwise conv in groups": linear.Conv(PICTURE, signed(6, 2, 1, 1), None, groups=2),
    "conv without a border": linear.Conv(PICTURE, signed(3, 4, 3, 3), signed(3)),
    "sum of tokens": reduce.ReduceSum(signed(2, 3, 4), (0, 1)),
    "log of a sum": reduce.ReduceLogSumExp(signed(2, 3, 4), (1,)),
    "border of zeros": shape.Pad(PICTURE, (0, 0, 1, 1, 0, 0, 1, 1)),
    "border of copies": shape.Pad(PICTURE, (0, 0, 1, 1, 0, 0, 1, 1), "edge"),
    "cut": shape.Pad(PICTURE, (0, 0, -1, 0, 0, 0, 0, -1)),
}
ALL_OPERATIONS = OPERATIONS | AVERAGES
ALL = pytest.mark.parametrize("node", ALL_OPERATIONS.values(), ids=ALL_OPERATIONS.keys())


def pattern(size: int) -> Values:
    return np.random.default_rng(size).uniform(0.3, 1.5, size)


def spread(port: Port, z: Values) -> Values:
    """z along a port, in the rank of its value, 0 outside of a segment."""
    length = static((port.value.type.shape[port.axis],))[0]
    match port.part:
        case None:
            own = z
        case Segment(start=start, stop=stop):
            own = np.zeros(length)
            own[start:stop] = z
        case Factor(inner=inner):
            own = np.tile(np.repeat(z, inner), length // (len(z) * inner))
    lengths = [1] * port.value.type.rank
    lengths[port.axis] = -1
    return own.reshape(lengths)


def ports(node: Node) -> list[Port]:
    """All ports of a node's laws that hold reals, each once."""
    found = [p for law in shifts_of(node) for p in law.ports if p.value.type.is_float]
    return list(dict.fromkeys(p for p in found if p.size != 1))


def freedom(node: Node) -> Values:
    """An orthonormal basis of the shifts that the laws allow: [ports, dimensions]."""
    own = ports(node)
    rows = [
        [float(sum(c for p, c in zip(law.ports, row, strict=True) if p == port)) for port in own]
        for law in shifts_of(node)
        for row in law.rows
    ]
    matrix = np.array(rows, np.float64).reshape(-1, len(own))
    _, values, basis = np.linalg.svd(matrix, full_matrices=True)
    return basis[int((values > 1e-9).sum()) :].T


def taken_off(node: Node, weights: Values) -> dict[Node, Values]:
    """What each value loses, where each port has its weight."""
    taken: dict[Node, Values] = {}
    for port, weight in zip(ports(node), weights, strict=True):
        if abs(weight) > 1e-9:
            z = weight * spread(port, pattern(static((port.size,))[0]))
            taken[port.value] = taken.get(port.value, 0.0) + z
    return taken


def value_of(node: Node) -> Values:
    return np.asarray(node.evaluate(*(value_of(o) for o in node.operands)))


def moved(node: Node, own: Node, taken: Mapping[Node, Values]) -> float:
    """How far own(operands − z) is from node(operands) − z; relative to the greatest value."""
    before = value_of(node).astype(np.float64)
    given = [(value_of(o) - taken.get(o, 0.0)).astype(o.type.elem.storage) for o in own.operands]
    with np.errstate(invalid="ignore"):
        after = np.asarray(own.evaluate(*given)).astype(np.float64)
    difference = np.abs(after - (before - taken.get(node, 0.0)))
    return float(np.nan_to_num(difference, nan=np.inf).max()) / max(np.abs(before).max(), 1e-6)


@ALL
def test_every_shift_that_the_laws_allow_passes(node: Node):
    basis = freedom(node)
    taken = taken_off(node, basis @ np.random.default_rng(0).uniform(0.5, 1.0, basis.shape[1]))
    own = absorbed(node, taken, taken.get(node)) or node
    assert moved(node, own, taken) < TRUE


@ALL
def test_a_shift_that_the_laws_forbid_does_not_pass(node: Node):
    basis = freedom(node)
    forbidden = np.eye(len(basis)) - basis @ basis.T
    columns = [column for column in forbidden.T if np.abs(column).max() > 1e-9]
    assert all(moved(node, node, taken_off(node, column)) > FALSE for column in columns)


FREE = {
    "add": 6, "subtract": 6, "matmul": 2, "conv": 1, "conv without a border": 2, "layer norm": 3,
    "batch norm": 2, "average of values": 1, "softmax": 2, "max pool": 2, "Relu": 0, "Neg": 3,
    "multiply by a number": 3, "multiply by a vector": 0, "border of zeros": 0,
    "border of copies": 2, "hadamard": 0, "rms norm": 0, "mean, axis dropped": 2,
    "transposed conv": 1, "greatest": 3, "not below a number": 0,
}  # fmt: skip


@pytest.mark.parametrize(("title", "wanted"), FREE.items())
def test_so_many_shifts_are_free(title: str, wanted: int):
    assert freedom(ALL_OPERATIONS[title]).shape[1] == wanted
