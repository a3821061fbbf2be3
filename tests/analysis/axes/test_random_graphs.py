"""Whatever the graph: what the analysis finds, alone and one after the other, changes nothing."""

from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qcompile.analysis.axes import Site, Survey, online_sites
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Div, Maximum, Mul, Sub
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.norm import RmsNorm
from qcompile.ir.ops.pointwise import Abs, Gelu, LeakyRelu, Neg, Relu, Sigmoid
from qcompile.ir.ops.reduce import ReduceMax, ReduceMean, Softmax
from qcompile.ir.ops.shape import Concat, Expand, Reshape, Slice, Transpose
from qcompile.ir.ops.source import const
from qcompile.passes.expose_sites import ExposeSites
from qcompile.passes.transforms import online
from tests.analysis.axes.parts import Parts, attention, graph, heads, joined, values
from tests.analysis.axes.random_maps import difference, transformed

TIME, WIDTHS = 3, (4, 6, 8, 12)
Pick = Callable[[Sequence[int]], int]


class Maker:
    """Grows a pool of values [1, TIME, width] by operations that `pick` chooses."""

    def __init__(self, pick: Pick, seed: int) -> None:
        self.pick, self.net = pick, Parts(seed)
        self.image = values(1, TIME, 5)
        self.count, self.pool = 0, list[Node]()
        self.pool.append(self.linear(self.image, pick(WIDTHS)))

    def name(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def any(self) -> Node:
        return self.pool[self.pick(range(len(self.pool)))]

    def like(self, x: Node) -> Node:
        """A value of the same width, made where there is none."""
        same = [y for y in self.pool if y.type.shape == x.type.shape and y is not x]
        return same[self.pick(range(len(same)))] if same else self.linear(x, width(x))

    def linear(self, x: Node, out: int) -> Node:
        return self.net.linear(x, out, self.name(), bias=bool(self.pick((0, 1))))

    def grow(self) -> None:
        x = self.any()
        self.pool.append(GROWTHS[self.pick(range(len(GROWTHS)))](self, x))


def width(x: Node) -> int:
    return static(x.type.shape)[2]


def _pointwise(m: Maker, x: Node) -> Node:
    return (Relu, Gelu, Abs, Neg, LeakyRelu, Sigmoid)[m.pick(range(6))](x)


def _binary(m: Maker, x: Node) -> Node:
    return (Add, Sub, Mul, Maximum, Add, Mul)[m.pick(range(6))](x, m.like(x))


def _constant(m: Maker, x: Node) -> Node:
    vector = m.net.around_one(width(x), name=m.name())
    number = const(np.array(1.3))
    return (Add, Mul, Div)[m.pick(range(3))](x, (vector, number)[m.pick((0, 1))])


def _split(m: Maker, x: Node) -> Node:
    """Two segments, one of them changed, in either order."""
    at = m.pick((1, 2, width(x) // 2))
    low = Slice(x, (2,), (0,), (at,), (1,))
    high = Slice(x, (2,), (at,), (width(x),), (1,))
    parts = (Relu(low), high) if m.pick((0, 1)) else (low, m.linear(high, width(x) - at))
    return Concat(parts[:: m.pick((1, -1))], 2)


def _grouped(m: Maker, x: Node) -> Node:
    """Through a view as [groups, rest], with a norm or a matrix within each."""
    groups = m.pick([g for g in (2, 3, 4) if width(x) % g == 0])
    view = Reshape(x, (1, TIME, groups, width(x) // groups))
    inner = width(x) // groups
    norm = RmsNorm(view, m.net.around_one(inner, name=m.name()), 3)
    plain = MatMul(view, m.net.weight(inner, inner, name=m.name()))
    turned = Transpose(Transpose(view, (0, 2, 1, 3)), (0, 2, 1, 3))
    return Reshape((norm, plain, turned, RmsNorm(view, None, 3))[m.pick(range(4))], x.type.shape)


def _normed(m: Maker, x: Node) -> Node:
    if m.pick((0, 0, 1)):
        return m.net.layer(x, m.name())
    scale = (None, m.net.around_one(width(x), name=m.name()))[m.pick((0, 1))]
    return RmsNorm(x, scale, 2)


def _attended(m: Maker, x: Node) -> Node:
    count = m.pick((1, 2))
    q, k, v = (heads(m.linear(x, 4 * count), count) for _ in range(3))
    mixed = attention(q, k, v, causal=bool(m.pick((0, 1))))
    return m.linear(joined(mixed), m.pick(WIDTHS))


def _shared(m: Maker, x: Node) -> Node:
    """One matrix used twice."""
    w = m.net.weight(width(x), width(x), name=m.name())
    return Add(MatMul(x, w), MatMul(m.like(x), w))


def _gram(m: Maker, x: Node) -> Node:
    """x xᵀ x: one value on both sides of a product."""
    y = m.like(x) if m.pick((0, 1)) else x
    return MatMul(Softmax(MatMul(x, Transpose(y, (0, 2, 1))), 2), y)


def _pooled(m: Maker, x: Node) -> Node:
    kind = (ReduceMean, ReduceMax)[m.pick((0, 1))]
    return Expand(kind(x, (1,)), x.type.shape)


def _widened(m: Maker, x: Node) -> Node:
    return m.linear(x, m.pick(WIDTHS))


GROWTHS = (
    _widened, _pointwise, _binary, _binary, _constant, _split, _grouped, _normed, _attended,
    _shared, _gram, _pooled, _widened,
)  # fmt: skip


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """One to eight operations, all of whose ends are joined in the output."""
    make = Maker(lambda options: draw(st.sampled_from(options)), draw(st.integers(0, 99)))
    for _ in range(draw(st.integers(1, 8))):
        make.grow()
    read = {o for node in make.pool for o in node.operands}
    ends = [node for node in make.pool if node not in read] or make.pool[-1:]
    total = make.linear(ends[0], 3)
    for end in ends[1:]:
        total = Add(total, make.linear(end, 3))
    return graph(make.image, y=total)


def all_sites(net: Graph) -> list[Site]:
    found = Survey(net)
    return [*found.rotations, *found.scalings, *found.permutations, *found.shifts]


@settings(max_examples=30, deadline=None)
@given(networks())
def test_every_site_is_exact(net: Graph):
    worst = [(difference(net, transformed(net, site)), str(site)) for site in all_sites(net)]
    assert not [found for found in worst if not found[0] < 1e-9]


@settings(max_examples=20, deadline=None)
@given(networks(), st.integers(0, 1 << 16))
def test_sites_found_anew_after_each_change_are_exact(net: Graph, seed: int):
    after = net
    for turn in range(3):
        sites = all_sites(after)
        if sites:
            after = transformed(after, sites[(seed >> turn) % len(sites)], seed=turn)
    assert difference(net, after) < 1e-8


@settings(max_examples=20, deadline=None)
@given(networks())
def test_every_site_that_costs_an_operation_is_exact(net: Graph):
    rng = np.random.default_rng(0)
    changed = [
        online(net, site, np.eye(site.size) + rng.random((site.size, site.size)) / 20)
        for site in online_sites(net)
    ]
    assert all(difference(net, after) < 1e-9 for after in changed)


@settings(max_examples=20, deadline=None)
@given(networks())
def test_exposing_sites_keeps_the_meaning(net: Graph):
    after = ExposeSites().run(net)
    assert difference(net, after) < 1e-9
    assert ExposeSites().run(after) is after
