"""Groups are expanded for back ends: same integers, no operation left, large ones on demand."""

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.ops.integer import ExpandGroups
from qcompile.ir.ops.source import Const, const
from qcompile.ir.types import Scalar
from qcompile.ir.unit import Affine
from qcompile.targets import whole_weights
from qcompile.targets.whole_weights import with_whole_weights


def grouped() -> Graph:
    rng = np.random.default_rng(0)
    steps = rng.integers(1, 17, 6, dtype=np.uint8).tobytes()
    unit = Affine((0.5, 0.25), axis=1, group=8, steps=steps)
    q = rng.integers(-8, 8, (20, 2), dtype=np.int8)
    narrow = const(q, elem=Scalar("i4"), unit=unit, name="w")
    return Graph("g", (), (("y", ExpandGroups(narrow)),))


def test_a_weight_in_groups_becomes_a_constant_of_bytes():
    before = grouped()
    after = with_whole_weights(before)
    (held,) = after.results
    assert isinstance(held, Const)
    assert (held.name, held.type) == ("w", before.results[0].type)
    np.testing.assert_array_equal(after.run()[0], before.run()[0])


def test_large_weights_are_expanded_when_they_are_read(monkeypatch):
    monkeypatch.setattr(whole_weights, "IN_MEMORY", 0)
    np.testing.assert_array_equal(with_whole_weights(grouped()).run()[0], grouped().run()[0])


def test_a_graph_without_groups_is_left_alone():
    graph = with_whole_weights(grouped())
    assert with_whole_weights(graph) is graph
