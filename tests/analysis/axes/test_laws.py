"""Each law of the table is true of its operation, and nothing beyond it is.

The maps are applied by numpy alone: a law that the analysis misunderstands cannot pass here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.analysis.axes.laws.law import Factor, Group, Law, Port, Segment
from qcompile.analysis.axes.laws.table import laws_of
from qcompile.ir.dims import static
from qcompile.ir.node import Node
from tests.analysis.axes.operations import OPERATIONS

Values = NDArray[Any]
TRUE, FALSE = 1e-10, 1e-3


def move(port: Port, array: Values, matrix: Values) -> Values:
    """The array times a matrix along a port."""
    moved = np.moveaxis(array.astype(np.float64), port.axis, -1)
    match port.part:
        case None:
            result = moved @ matrix
        case Segment(start=start, stop=stop):
            result = moved.copy()
            result[..., start:stop] = moved[..., start:stop] @ matrix
        case Factor(size=size, inner=inner):
            cut = moved.reshape(*moved.shape[:-1], -1, *static((size,)), inner)
            result = np.einsum("...oai,ab->...obi", cut, matrix).reshape(moved.shape)
    return np.moveaxis(result, -1, port.axis)


def changed(node: Node, maps: Mapping[Port, Values]) -> float:
    """How far f(operands moved) is from f(operands) moved, relative to its greatest value."""
    arrays = {o: np.asarray(o.evaluate()) for o in node.operands}
    result = np.asarray(node.evaluate(*arrays.values())).astype(np.float64)
    scale = max(float(np.abs(result).max()), 1e-6)
    for port, matrix in maps.items():
        if port.value is node:
            result = move(port, result, matrix)
        else:
            arrays[port.value] = move(port, arrays[port.value], matrix)
    kinds = [o.type.elem.storage for o in arrays]
    given = [a.astype(k) for a, k in zip(arrays.values(), kinds, strict=True)]
    with np.errstate(invalid="ignore"):
        after = np.asarray(node.evaluate(*given)).astype(np.float64)
    return float(np.nan_to_num(np.abs(after - result), nan=np.inf).max()) / scale


def moved_by(law: Law, matrix: Values) -> float:
    """The same for one law: T where its sign is 1, T^-T where it is −1."""
    dual = np.linalg.inv(matrix).T
    ports = zip(law.ports, law.signs, strict=True)
    return changed(law.node, {port: matrix if sign > 0 else dual for port, sign in ports})


def random(size: int, seed: int = 0) -> Values:
    """Any matrix."""
    return np.random.default_rng(seed).standard_normal((size, size)) + np.eye(size)


def orthogonal(size: int) -> Values:
    """A random orthogonal matrix, no permutation."""
    return np.linalg.qr(random(size, seed=1))[0]


def length(law: Law) -> int:
    """The law's index set's."""
    return static((law.ports[0].size,))[0]


LAWS = {
    f"{title} {i}": replace(law, owner=node)
    for title, node in OPERATIONS.items()
    for i, law in enumerate(laws_of(node))
    if length(law) > 1 and all(p.value.type.is_float for p in law.ports)
}


def of(*groups: Group) -> pytest.MarkDecorator:
    """The laws of these groups."""
    own = {title: law for title, law in LAWS.items() if law.group in groups}
    return pytest.mark.parametrize("law", own.values(), ids=own.keys())


@of(Group.GENERAL)
def test_any_matrix_passes(law: Law):
    assert moved_by(law, random(length(law))) < TRUE


@of(Group.ORTHOGONAL)
def test_an_orthogonal_matrix_passes(law: Law):
    assert moved_by(law, orthogonal(length(law))) < TRUE


@of(Group.ORTHOGONAL)
def test_a_matrix_that_is_not_orthogonal_does_not_pass(law: Law):
    assert moved_by(law, random(length(law))) > FALSE


@of(Group.NONE)
def test_no_orthogonal_matrix_passes(law: Law):
    assert moved_by(law, orthogonal(length(law))) > FALSE


def ports(node: Node) -> list[Port]:
    """All ports of a node's laws that hold reals, each once."""
    found = [p for law in laws_of(node) for p in law.ports if p.value.type.is_float]
    return list(dict.fromkeys(p for p in found if p.size != 1))


def rows(node: Node) -> Values:
    """All its laws' equations: [equations, ports]."""
    own = ports(node)
    found = [
        [sum(c for p, c in zip(law.ports, row, strict=True) if p == port) for port in own]
        for law in laws_of(node)
        for row in law.rows
    ]
    return np.array(found, np.float64).reshape(-1, len(own))


def spread(node: Node, logarithms: Values) -> dict[Port, Values]:
    """Diagonal matrices: s to the power of each port's number, s the same for equal lengths."""
    found: dict[Port, Values] = {}
    for port, own in zip(ports(node), logarithms, strict=True):
        size = static((port.size,))[0]
        found[port] = np.diag(np.exp(own * np.random.default_rng(size).uniform(-1.5, 1.5, size)))
    return found


def freedom(node: Node) -> Values:
    """An orthonormal basis of the scales that its laws allow: [ports, dimensions]."""
    _, values, basis = np.linalg.svd(rows(node), full_matrices=True)
    rank = int((values > 1e-9).sum())
    return basis[rank:].T


ALL = pytest.mark.parametrize("node", OPERATIONS.values(), ids=OPERATIONS.keys())


@ALL
def test_every_scale_that_the_laws_allow_passes(node: Node):
    basis = freedom(node)
    weights = np.random.default_rng(0).uniform(0.5, 1.0, basis.shape[1])
    assert changed(node, spread(node, basis @ weights)) < TRUE


@ALL
def test_a_scale_that_the_laws_forbid_does_not_pass(node: Node):
    own = ports(node)
    forbidden = np.eye(len(own)) - freedom(node) @ freedom(node).T
    columns = [column for column in forbidden.T if np.abs(column).max() > 1e-9]
    assert all(changed(node, spread(node, column)) > FALSE for column in columns)


def components(node: Node) -> list[tuple[Port, ...]]:
    """Ports that must be put in one order; those that may not be are left out."""
    parent = {p: p for law in laws_of(node) for p in law.ports}

    def root(port: Port) -> Port:
        return port if parent[port] == port else root(parent[port])

    for law in laws_of(node):
        for port in law.ports[1:]:
            parent[root(port)] = root(law.ports[0])
    fixed = {root(law.ports[0]) for law in laws_of(node) if not law.permutes}
    groups: dict[Port, list[Port]] = {}
    for port in parent:
        groups.setdefault(root(port), []).append(port)
    return [tuple(own) for top, own in groups.items() if top not in fixed and top.size != 1]


ORDERS = {
    f"{title} {i}": (node, own)
    for title, node in OPERATIONS.items()
    for i, own in enumerate(components(node))
}


@pytest.mark.parametrize(("node", "own"), ORDERS.values(), ids=ORDERS.keys())
def test_every_order_that_the_laws_allow_passes(node: Node, own: tuple[Port, ...]):
    size = static((own[0].size,))[0]
    order = np.eye(size)[np.random.default_rng(1).permutation(size)]
    assert changed(node, dict.fromkeys(own, order)) < TRUE
