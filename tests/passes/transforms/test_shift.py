"""Shifts: what convolutions with and without a border do with them, and large weights stay away."""

import numpy as np

from qcompile.analysis.axes import Survey, shift_sites
from qcompile.analysis.axes.laws.shifts_linear import BORDER
from qcompile.ir.blob import Blob
from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import F32, F64, Array, TensorType
from qcompile.passes.transforms import shifted
from qcompile.passes.transforms.shift import absorbed
from tests.analysis.axes.random_maps import difference

RNG = np.random.default_rng(0)
W, B = RNG.standard_normal((5, 4, 3, 3)), RNG.standard_normal(5)


def convolutions(pads: tuple[int, ...]) -> Graph:
    """image → 1x1 → 3x3 → relu: a value between two convolutions."""
    image = Input(TensorType((1, 3, 8, 8), F64), name="image")
    first = Conv(image, const(RNG.standard_normal((4, 3, 1, 1))), None, name="first")
    second = Conv(first, const(W), const(B), pads=pads, name="second")
    return Graph("net", (image,), (("y", Relu(second)),))


def test_a_convolution_without_a_border_takes_a_shift_into_its_bias():
    net = convolutions((0, 0, 0, 0))
    (site,) = shift_sites(net)
    z = np.array([3.0, -1.0, 0.5, 2.0])
    after = shifted(net, [(site, z)])
    assert difference(net, after) < 1e-12
    bias = after.named("second").operands[2].evaluate()
    np.testing.assert_allclose(bias, B + np.einsum("ochw,c->o", W, z))


def test_a_convolution_with_a_border_of_zeros_takes_none():
    own = Survey(convolutions((1, 1, 1, 1)))
    assert own.shifts == ()
    assert {e.name: str(e.blockers[0]) for e in own.unshifted} == {
        "image": "image: it is the graph's input image",
        "first": f"second: conv {BORDER}",
    }


def test_for_a_shift_would_change_its_border_and_nothing_else():
    net, z = convolutions((1, 1, 1, 1)), np.array([3.0, -1.0, 0.5, 2.0]).reshape(1, 4, 1, 1)
    second = net.named("second")
    x, w, b = second.operands
    value = np.random.default_rng(1).standard_normal((1, 4, 8, 8))
    inner = second.replace(pads=(0, 0, 0, 0))
    taken = absorbed(inner, {x: z}, None)
    assert isinstance(taken, Conv)
    bias = taken.operands[2].evaluate()
    before = second.evaluate(value, w.evaluate(), b.evaluate())
    after = second.evaluate(value - z, w.evaluate(), bias)
    off = np.abs(after - before).max((0, 1))
    assert off[1:-1, 1:-1].max() < 1e-12
    assert off[0].min() > 1e-3


def lazy(name: str, loads: list[str], *shape: int) -> Const:
    """A large weight that notes when it is loaded."""

    def load() -> Array:
        loads.append(name)
        return np.random.default_rng(len(name)).standard_normal(shape).astype(np.float32)

    return Const(Blob(shape, np.dtype(np.float32), load), F32, name=name)


def test_large_weights_are_loaded_when_their_bias_is_asked_for():
    loads: list[str] = []
    x = Input(TensorType((1, 150_000), F32), name="x")
    a, b = lazy("a", loads, 150_000, 8), lazy("bb", loads, 8, 150_000)
    net = Graph("net", (x,), (("y", MatMul(MatMul(x, a, name="m"), b)),))
    (site,) = shift_sites(net)
    after = shifted(net, [(site, np.ones(8))])
    assert loads == []
    after.run(np.ones((1, 150_000), np.float32))
    assert loads.count("bb") >= 1
