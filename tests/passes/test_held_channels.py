"""Bounds of channels in integers: the rounded lesser of value and bound, on every back end."""

from pathlib import Path

import pytest

import qcompile
from qcompile.ir.graph import Graph
from qcompile.passes.quantize import Quantize
from tests.helpers import check_rewrite, read, seeded_inputs

BEFORE = """
    def f(x: f32[1, 2, 2, 2]):
        x_2 = fake_quant(x, elem=u8, unit=q(0.25), name="x")
        w: f32[2, 2, 1, 1] = const([[[[1.0]], [[-0.5]]], [[[0.25]], [[0.5]]]])
        w_2 = fake_quant(w, elem=i8, unit=q(0.25), name="w")
        a = conv(x_2, w_2)
        r = relu(a)
        caps: f32[2, 1, 1] = const([[[6.0]], [[1.3]]])
        c = minimum(r, caps)
        y = fake_quant(c, elem=u8, unit=q(0.11), name="y")
        return y
    """
AFTER = """
    def f(x: f32[1, 2, 2, 2]):
        x_2: u8[1, 2, 2, 2] @ q(0.25) = quantize(x, name="x")
        w: i8[2, 2, 1, 1] @ q(0.25) = const([[[[4]], [[-2]]], [[[1]], [[2]]]])
        a: i32[1, 2, 2, 2] @ q(0.0625) = conv(x_2, w)
        y: u8[1, 2, 2, 2] @ q(0.11) = requantize(a, numbers=multipliers((305040291,), 29), lo=0, hi=255)
        caps: u8[2, 1, 1] @ q(0.11) = const([[[55]], [[12]]])
        y_held: u8[1, 2, 2, 2] @ q(0.11) = minimum(y, caps, name="y.held")
        y_2: f32[1, 2, 2, 2] = dequantize(y_held, name="y")
        return {"y": y_2}
    """  # noqa: E501  as it is printed


def test_the_bound_becomes_integers_of_the_result():
    check_rewrite(BEFORE, Quantize(), AFTER)


def network() -> Graph:
    """conv → relu6 → depthwise → relu6 → conv, the channels' bounds far apart."""
    return read(
        """
        def f(x: f32[1, 3, 8, 8]):
            w: f32[16, 3, 3, 3] = const(...)
            a: f32[1, 16, 6, 6] = conv(x, w)
            r: f32[1, 16, 6, 6] = relu(a)
            caps: f32[16, 1, 1] = const(...)
            c: f32[1, 16, 6, 6] = minimum(r, caps)
            v: f32[16, 1, 3, 3] = const(...)
            d: f32[1, 16, 6, 6] = conv(c, v, pads=(1, 1, 1, 1), groups=16)
            s: f32[1, 16, 6, 6] = relu(d)
            limits: f32[16, 1, 1] = const(...)
            e: f32[1, 16, 6, 6] = minimum(s, limits)
            u: f32[4, 16, 1, 1] = const(...)
            y: f32[1, 4, 6, 6] = conv(e, u)
            return y
        """
    )


@pytest.mark.parametrize("target", ["reference", "onnx-int", "x86-int8", "t4-int8"])
def test_every_back_end_gives_the_same_bits(tmp_path: Path, target: str):
    net = network()
    samples = [{"x": seeded_inputs(net, seed=i)[0]} for i in range(4)]
    artifact = qcompile.compile(net, target=target, calib=samples, output=tmp_path / "it")
    assert artifact.manifest["integer_only"]
