import numpy as np
import pytest

import qcompile
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import f32
from qcompile.passes.online_hadamard import edge_of, insert_online, with_online
from tests.helpers import read, seeded_inputs

CASES = {
    "conv with a border": (
        "x: f64[2, 24, 7, 6]", "w: f64[5, 24, 3, 3] = const(...)",
        "conv(x, w, stride=(2, 1), pads=(1, 2, 0, 1))", 12,
    ),
    "conv of blocks": (
        "x: f64[1, 48, 5, 5]", "w: f64[7, 48, 2, 3] = const(...)",
        "conv(x, w, dilation=(2, 1))", 16,
    ),
    "conv of groups": (
        "x: f64[1, 24, 5, 5]", "w: f64[6, 8, 3, 3] = const(...)", "conv(x, w, groups=3)", 4,
    ),
    "conv_transpose": (
        "x: f64[1, 20, 5, 4]", "w: f64[20, 3, 3, 3] = const(...)",
        "conv_transpose(x, w, stride=(2, 2), pads=(1, 0, 1, 1))", 20,
    ),
    "mat_mul": ("x: f64[2, 3, 64]", "w: f64[64, 9] = const(...)", "mat_mul(x, w)", 64),
    "mat_mul of stacks": (
        "x: f64[2, 3, 24]", "w: f64[2, 24, 5] = const(...)", "mat_mul(x, w)", 8,
    ),
    "mat_mul from the left": (
        "x: f64[2, 48, 3]", "w: f64[9, 48] = const(...)", "mat_mul(w, x)", 48,
    ),
}  # fmt: skip


def graph_of(x: str, w: str, call: str) -> Graph:
    return read(f"""
        def net({x}):
            {w}
            y = {call}
            return y
    """)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("seed", [0, 7])
def test_outputs_stay(case, seed):
    *texts, size = case
    before = graph_of(*texts)
    after = insert_online(before, {"y": size}, seed=seed)
    inputs = seeded_inputs(before)
    np.testing.assert_allclose(after.run(*inputs)[0], before.run(*inputs)[0], rtol=0, atol=1e-10)
    assert [(n.size, n.seed) for n in after.nodes if isinstance(n, Hadamard)] == [(size, seed)]


def test_one_node_is_turned_alone():
    before = graph_of("x: f64[2, 16]", "w: f64[16, 3] = const(...)", "mat_mul(x, w)")
    (node,) = before.results
    assert isinstance(node, MatMul)
    after = before.map_outputs(lambda _: with_online(node, size=16, seed=3))
    inputs = seeded_inputs(before)
    np.testing.assert_allclose(after.run(*inputs)[0], before.run(*inputs)[0], atol=1e-10)
    edge = edge_of(after.results[0])
    assert edge is not None
    assert edge.x.op == "hadamard"


def test_readers_of_one_value_share_its_transform():
    before = read("""
        def net(x: f32[2, 16]):
            v: f32[16, 4] = const(...)
            w: f32[16, 4] = const(...)
            a = mat_mul(x, v)
            b = mat_mul(x, w)
            y = add(a, b)
            return y
    """)
    after = insert_online(before, {"a": 16, "b": 16})
    assert sum(isinstance(node, Hadamard) for node in after.nodes) == 1


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ({"y": 12}, "blocks of 12 do not divide the 16 it sums over"),
        ({"z": 16}, "no contraction named z in net"),
    ],
)
def test_what_cannot_be_turned_is_said(sizes, complaint):
    before = graph_of("x: f64[2, 16]", "w: f64[16, 3] = const(...)", "mat_mul(x, w)")
    with pytest.raises(UsageError, match=complaint):
        insert_online(before, sizes)


def test_a_product_of_values_has_no_place_for_the_inverse():
    before = graph_of("x: f64[2, 3, 3]", "w: f64[3, 3] = const(...)", "mat_mul(x, x)")
    with pytest.raises(UsageError, match="needs a constant weight"):
        insert_online(before, {"y": 1})


# what it is good for: one channel a hundred times the others


def with_an_outlier() -> Graph:
    """Channel 5 between the layers is 100 times the others, and read with a hundredth."""
    rng = np.random.default_rng(3)
    strong = np.where(np.arange(64) == 5, 100.0, 1.0)
    first = rng.standard_normal((64, 16, 1, 1)) / 4 * strong[:, None, None, None]
    second = rng.standard_normal((24, 64, 3, 3)) / 24 / strong[None, :, None, None]
    x = Input(f32(1, 16, 8, 8), name="x")
    hidden = Relu(Conv(x, const(first.astype(np.float32), name="v"), name="one"), name="relu")
    y = Conv(hidden, const(second.astype(np.float32), name="w"), pads=(1,) * 4, name="two")
    return Graph("outlier", (x,), (("y", y),))


def sqnr(graph: Graph, folder) -> float:
    """Decibels of the real outputs over the error of the W8A8 program."""
    rng = np.random.default_rng(0)
    samples = [{"x": rng.standard_normal((1, 16, 8, 8)).astype(np.float32)} for _ in range(12)]
    calib, probes = samples[:8], samples[8:]
    artifact = qcompile.compile(graph, target="reference", calib=calib, output=folder)
    wanted = np.stack([graph.run(s["x"])[0] for s in probes])
    found = np.stack([artifact.run(s)["y"] for s in probes])
    return float(10 * np.log10((wanted**2).sum() / ((wanted - found) ** 2).sum()))


def test_an_outlier_costs_less_behind_a_transform(tmp_path):
    plain = with_an_outlier()
    turned = insert_online(plain, {"two": 64}, seed=1)
    assert sqnr(turned, tmp_path / "turned") > sqnr(plain, tmp_path / "plain") + 6
