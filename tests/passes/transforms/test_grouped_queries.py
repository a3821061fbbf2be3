"""Six heads of queries read two of keys and values: scales and shifts against explicit loops."""

import numpy as np

from qcompile.analysis.axes import scaling_sites, shift_sites
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.passes.transforms import scaled, shifted
from tests.analysis.axes.random_maps import difference
from tests.analysis.axes.transformers import llama

HEADS, SHARED, SIZE = 6, 2, 4
NET = llama(q_heads=HEADS, kv_heads=SHARED)
NUMBERS = np.random.default_rng(0).uniform(0.5, 2.0, (SHARED, SIZE))


def constant(graph: Graph, name: str) -> Array:
    (found,) = (c for c in graph.constants if c.name == name)
    return found.array


def test_each_row_of_the_output_weight_takes_the_scale_of_the_head_it_reads():
    (site,) = (s for s in scaling_sites(NET) if s.name == "l0.mix")
    after = scaled(NET, site, NUMBERS)
    rows = constant(NET, "l0.o.w").copy()
    columns = constant(NET, "l0.v.w").copy()
    for head in range(HEADS):
        for i in range(SIZE):
            rows[head * SIZE + i] *= NUMBERS[head // (HEADS // SHARED), i]
    for head in range(SHARED):
        for i in range(SIZE):
            columns[:, head * SIZE + i] /= NUMBERS[head, i]
    np.testing.assert_allclose(constant(after, "l0.o.w"), rows, rtol=1e-12)
    np.testing.assert_allclose(constant(after, "l0.v.w"), columns, rtol=1e-12)
    assert difference(NET, after) < 1e-12


def test_the_output_bias_takes_up_what_the_head_that_each_row_reads_has_lost():
    (site,) = shift_sites(NET)
    after = shifted(NET, [(site, NUMBERS)])
    weight = constant(NET, "l0.o.w")
    bias = np.zeros(weight.shape[1])
    for head in range(HEADS):
        for i in range(SIZE):
            bias += NUMBERS[head // (HEADS // SHARED), i] * weight[head * SIZE + i]
    np.testing.assert_allclose(constant(after, "l0.o.bias"), bias, rtol=1e-12)
    np.testing.assert_allclose(constant(after, "l0.v.bias"), -NUMBERS.reshape(-1), rtol=1e-12)
    assert difference(NET, after) < 1e-12
