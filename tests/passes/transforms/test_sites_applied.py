"""Maps are applied exactly, only where they may act, and without loading what is not asked for."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.analysis.axes import (
    Group,
    online_sites,
    permutation_sites,
    rotation_sites,
    scaling_sites,
    shift_sites,
)
from qcompile.errors import UsageError
from qcompile.ir.blob import Blob
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import F32, Array, f32
from qcompile.numerics.rotations import transformed
from qcompile.passes.fold_norm_scales import FoldNormScales
from qcompile.passes.transforms import online, permuted, rotated, scaled, shifted
from tests.analysis.axes.parts import graph
from tests.analysis.axes.random_maps import difference
from tests.analysis.axes.transformers import llama

NET = FoldNormScales().run(llama())
STREAM, PAIRS, VALUES = rotation_sites(NET)
SCALE = scaling_sites(NET)[0]
ORDER = permutation_sites(NET)[0]
(SHIFT,) = shift_sites(NET)
HIDDEN = next(site for site in online_sites(NET) if site.role == "R4")


def turn(n: int) -> NDArray[np.float64]:
    return np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]


def edge(net: Graph, name: str) -> Array:
    """What a value is on fixed tokens."""
    probe = replace(net, outputs=(("v", net.named(name)),))
    return probe.run(np.array([[1, 4, 2, 8, 5]]))[0]


def test_the_edges_become_x_times_t():
    t = turn(16)
    after = rotated(NET, STREAM, t)
    np.testing.assert_allclose(edge(after, "l0.out"), edge(NET, "l0.out") @ t, atol=1e-12)


def test_each_block_has_a_matrix_of_its_own():
    stack = np.random.default_rng(1).standard_normal((2, 4, 4)) + 2 * np.eye(4)
    after = rotated(NET, VALUES, stack)
    before = edge(NET, "l0.v").reshape(1, 5, 2, 4)
    wanted = np.einsum("bthi,hij->bthj", before, stack).reshape(1, 5, 8)
    np.testing.assert_allclose(edge(after, "l0.v"), wanted, atol=1e-12)


def test_the_lead_edge_is_divided_by_s():
    s = np.random.default_rng(0).uniform(0.5, 2.0, 16)
    after = scaled(NET, SCALE, s)
    np.testing.assert_allclose(edge(after, "l0.n1"), edge(NET, "l0.n1") / s, rtol=1e-12)


def test_index_i_becomes_what_order_i_was():
    order = np.random.default_rng(0).permutation(16)
    after = permuted(NET, ORDER, order)
    np.testing.assert_allclose(edge(after, "l0.out"), edge(NET, "l0.out")[..., order], atol=1e-12)


def test_rows_of_a_member_are_its_vectors_by_block():
    member = next(m for m in VALUES.edges if m.value.name == "l0.v")
    array = edge(NET, "l0.v")
    rows, blocks = member.rows(array)
    np.testing.assert_array_equal(rows, array.reshape(-1, 4))
    np.testing.assert_array_equal(blocks, np.arange(10) % 2)
    np.testing.assert_array_equal(member.put(array, rows), array)


def test_an_online_matrix_is_one_operation():
    after = online(NET, HIDDEN, turn(20))
    added = [n.name for n in after.nodes if n.name.endswith(".turned")]
    assert added == ["l0.act.turned"]
    np.testing.assert_allclose(edge(after, "l0.act.turned"), edge(NET, "l0.act") @ turn(20))
    assert difference(NET, after) < 1e-12


def test_an_online_operation_of_your_own():
    def mirrored(value: Node, axis: int, matrix: NDArray[np.float64]) -> Node:
        return Hadamard(value, axis, 20, name="mine")

    t = transformed(np.eye(20), axis=1, size=20, seed=0) / np.sqrt(20)
    after = online(NET, HIDDEN, t, insert=mirrored)
    assert after.named("mine").op == "hadamard"
    assert difference(NET, after) < 1e-12


def test_the_values_of_each_head_lose_z_and_biases_take_it_up():
    z = np.random.default_rng(0).standard_normal((2, 4))
    after = shifted(NET, [(SHIFT, z)])
    np.testing.assert_allclose(edge(after, "l0.v"), edge(NET, "l0.v") - z.reshape(-1), atol=1e-12)
    assert difference(NET, after) < 1e-12


def test_a_shift_that_is_taken_back_leaves_the_function():
    z = np.random.default_rng(0).standard_normal(4)
    after = shifted(NET, [(SHIFT, z)])
    (again,) = shift_sites(after)
    assert difference(NET, shifted(after, [(again, -z)])) < 1e-12


REFUSED: dict[str, Callable[[], Graph]] = {
    "a wrong size": lambda: rotated(NET, STREAM, turn(8)),
    "not orthogonal": lambda: rotated(NET, STREAM, 2 * np.eye(16)),
    "not a pair": lambda: rotated(NET, PAIRS, np.array([[1.0, 0.5], [0.5, 1.0]])),
    "no inverse": lambda: rotated(NET, VALUES, np.zeros((4, 4))),
    "not a number": lambda: rotated(NET, VALUES, np.full((4, 4), np.nan)),
    "nothing may act": lambda: rotated(NET, replace(STREAM, group=Group.NONE), np.eye(16)),
    "another graph": lambda: rotated(llama(), STREAM, turn(16)),
    "a negative scale": lambda: scaled(NET, SCALE, -np.ones(16)),
    "scales of a wrong shape": lambda: scaled(NET, SCALE, np.ones(15)),
    "a shift that is no number": lambda: shifted(NET, [(SHIFT, np.full(4, np.nan))]),
    "shifts of a wrong shape": lambda: shifted(NET, [(SHIFT, np.zeros(3))]),
    "a shift of another graph": lambda: shifted(llama(), [(SHIFT, np.zeros(4))]),
    "an index twice": lambda: permuted(NET, ORDER, np.zeros(16, np.int64)),
    "an order of a wrong shape": lambda: permuted(NET, ORDER, np.arange(15)),
    "an online matrix without inverse": lambda: online(NET, HIDDEN, np.zeros((20, 20))),
    "an online matrix of a wrong size": lambda: online(NET, HIDDEN, np.eye(4)),
}


@pytest.mark.parametrize("act", REFUSED.values(), ids=REFUSED.keys())
def test_refuses(act: Callable[[], Graph]):
    with pytest.raises(UsageError, match="site"):
        act()


def lazy(name: str, loads: list[str], *shape: int) -> Const:
    """A large weight that notes when it is loaded."""

    def load() -> Array:
        loads.append(name)
        return np.random.default_rng(len(name)).standard_normal(shape).astype(np.float32)

    return Const(Blob(shape, np.dtype(np.float32), load), F32, name=name)


def test_large_weights_are_loaded_when_they_are_asked_for():
    loads: list[str] = []
    x = Input(f32(1, 150_000), name="x")
    a, b = lazy("a", loads, 150_000, 8), lazy("bb", loads, 8, 150_000)
    net = graph(x, y=MatMul(MatMul(x, a, name="m"), b))
    (site,) = rotation_sites(net)
    after = rotated(net, site, turn(8))
    assert loads == []
    after.run(np.ones((1, 150_000), np.float32))
    assert loads == ["a", "bb"]
