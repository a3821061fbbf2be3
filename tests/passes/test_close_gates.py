"""Opened gates: closed where their scale is 1, left where it is used."""

from qcompile.passes.close_gates import CloseGates
from tests.helpers import check_rewrite, check_unchanged

OPENED = """
    def f(z: f32[1, 3, 2], u: f32[1, 3, 2]):
        scale: f32[2] = const([%s])
        s: f32[1, 3, 2] = mul(z, scale)
        a: f32[1, 3, 2] = sigmoid(s)
        g: f32[1, 3, 2] = mul(z, a)
        y: f32[1, 3, 2] = mul(u, g)
        return y
    """
CLOSED = """
    def f(z: f32[1, 3, 2], u: f32[1, 3, 2]):
        g: f32[1, 3, 2] = silu(z)
        y: f32[1, 3, 2] = mul(u, g)
        return y
    """


def test_a_gate_that_nobody_used_is_closed():
    check_rewrite(OPENED % "1.0, 1.0", CloseGates(), CLOSED)


def test_a_gate_with_a_scale_stays_open():
    check_unchanged(OPENED % "1.0, 2.0", CloseGates())
