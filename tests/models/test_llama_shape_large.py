"""A Llama as wide as one of 7 B: its sites are found without a weight."""

from collections.abc import Callable

import pytest

from qcompile.analysis.axes import (
    described,
    online_sites,
    permutation_sites,
    rotation_sites,
    scaling_sites,
)
from qcompile.ir.blob import Blob
from qcompile.ir.graph import Graph
from qcompile.models.llama import Shape
from qcompile.models.llama_shape import llama_graph
from qcompile.passes.expose_sites import ExposeSites

LARGE = 1 << 24  # bytes
WIDE = Shape(layers=4, width=4096, heads=32, kv_heads=8, hidden=11008, vocabulary=32000, tied=False)
NET = llama_graph(WIDE, 128)
FINDERS = [rotation_sites, scaling_sites, permutation_sites, online_sites, described]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of large arrays that were asked for."""
    found: list[tuple[int, ...]] = []
    whole = Blob.array

    def array(self: Blob):
        if self.nbytes >= LARGE:
            found.append(self.shape)
        return whole(self)

    monkeypatch.setattr(Blob, "array", array)
    return found


@pytest.mark.parametrize("find", FINDERS)
def test_sites_are_found_without_a_weight(find: Callable[[Graph], object], loaded):
    assert find(NET)
    assert loaded == []


@pytest.mark.parametrize("find", FINDERS)
def test_sites_are_exposed_without_a_weight(find: Callable[[Graph], object], loaded):
    assert find(ExposeSites().run(NET))
    assert loaded == []


def test_the_counter_sees_what_is_loaded(loaded):
    next(c for c in NET.constants if c.name == "blocks.0.attention.k.weight").array.sum()
    assert loaded == [(4096, 1024)]
