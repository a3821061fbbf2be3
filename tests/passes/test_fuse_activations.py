"""Every spelled-out activation, and spellings that only look like one."""
# ruff: noqa: E501  one spelling a line

import pytest

from qcompile.passes.fuse_activations import FuseActivations
from tests.helpers import check_rewrite, check_unchanged

PASS = FuseActivations()

CONSTANTS = {
    "half": 0.5, "one": 1.0, "two": 2.0, "three": 3.0, "twenty": 20.0, "sixth": 1 / 6, "root": 0.7071067811865476,
    "cubic": 0.044715, "slope": 0.7978845608028654,
}  # fmt: skip


def text(body: str) -> str:
    """The lines after those of the constants they use."""
    used = [name for name in CONSTANTS if f" {name})" in body]
    consts = "".join(f"    {name}: f32[()] = const({CONSTANTS[name]})\n" for name in used)
    lines = "".join(f"    {line}\n" for line in body.split("; "))
    return f"def f(x: f32[2, 3], z: f32[2, 3]):\n{consts}{lines}    return y\n"


SILU, HARD_SWISH, MISH = "silu(x)", "hard_swish(x)", "mish(x)"
GELU, GELU_TANH = "gelu(x)", "gelu_tanh(x)"
HARD_SIGMOID = "hard_sigmoid(x, alpha=0.16666666666666666)"
CUBE = "p = pow(x, three); c = mul(p, cubic)"
INNER = "a = add(x, c); b = mul(a, slope); t = tanh(b); s = add(t, one)"

FIRES = [
    ("g = sigmoid(x); y = mul(x, g)", SILU),
    ("g = sigmoid(x); y = mul(g, x)", SILU),
    ("g = hard_sigmoid(x, alpha=0.16666667, beta=0.5); y = mul(x, g)", HARD_SWISH),
    ("g = hard_sigmoid(x, alpha=0.16666667, beta=0.5); y = mul(g, x)", HARD_SWISH),
    ("c = greater(x, twenty); s = softplus(x); y = where(c, x, s)", "softplus(x)"),
    ("s = softplus(x); t = tanh(s); y = mul(x, t)", MISH),
    ("s = softplus(x); t = tanh(s); y = mul(t, x)", MISH),
    ("a = add(x, three); c = clip(a, lo=0.0, hi=6.0); y = mul(c, sixth)", HARD_SIGMOID),
    ("a = add(x, three); c = clip(a, lo=0.0, hi=6.0); m = mul(x, c); y = mul(m, sixth)", HARD_SWISH),
    ("a = add(x, three); c = clip(a, lo=0.0, hi=6.0); m = mul(c, x); y = mul(m, sixth)", HARD_SWISH),
    ("a = add(x, three); c = clip(a, lo=0.0, hi=6.0); m = mul(c, sixth); y = mul(x, m)", HARD_SWISH),
    ("d = mul(x, root); e = erf(d); s = add(e, one); m = mul(x, s); y = mul(m, half)", GELU),
    ("d = mul(x, root); e = erf(d); s = add(e, one); m = mul(s, x); y = mul(m, half)", GELU),
    ("d = mul(x, root); e = erf(d); s = add(e, one); m = mul(x, half); y = mul(m, s)", GELU),
    ("d = mul(x, root); e = erf(d); s = add(e, one); m = mul(x, half); y = mul(s, m)", GELU),
    ("d = mul(x, root); e = erf(d); s = add(e, one); m = mul(s, half); y = mul(x, m)", GELU),
    (f"{CUBE}; {INNER}; m = mul(x, s); y = mul(m, half)", GELU_TANH),
    (f"{CUBE}; {INNER}; m = mul(x, half); y = mul(m, s)", GELU_TANH),
    (f"q = mul(x, x); p = mul(q, x); c = mul(p, cubic); {INNER}; m = mul(x, s); y = mul(m, half)", GELU_TANH),
    (f"q = mul(x, x); p = mul(x, q); c = mul(p, cubic); {INNER}; m = mul(x, half); y = mul(m, s)", GELU_TANH),
]  # fmt: skip


@pytest.mark.parametrize(("body", "call"), FIRES)
def test_recognizes(body: str, call: str):
    after = f"def f(x: f32[2, 3], z: f32[2, 3]):\n    y: f32[2, 3] = {call}\n    return y"
    check_rewrite(text(body), PASS, after)


LOOK_ALIKES = [
    "c = greater(x, three); s = softplus(x); y = where(c, x, s)",
    "c = greater(z, twenty); s = softplus(x); y = where(c, x, s)",
    "c = greater(x, twenty); s = softplus(x); y = where(c, s, x)",
    "g = sigmoid(z); y = mul(x, g)",
    "g = hard_sigmoid(x, alpha=0.2, beta=0.5); y = mul(x, g)",
    "g = hard_sigmoid(x, alpha=0.16666667, beta=0.6); y = mul(x, g)",
    "g = hard_sigmoid(z, alpha=0.16666667, beta=0.5); y = mul(x, g)",
    "s = softplus(z); t = tanh(s); y = mul(x, t)",
    "a = add(x, two); c = clip(a, lo=0.0, hi=6.0); y = mul(c, sixth)",
    "a = add(x, three); c = clip(a, lo=0.0, hi=5.0); y = mul(c, sixth)",
    "a = add(x, three); c = clip(a, lo=0.0, hi=6.0); y = mul(c, half)",
    "a = add(z, three); c = clip(a, lo=0.0, hi=6.0); m = mul(x, c); y = mul(m, sixth)",
    "a = add(x, three); c = clip(a, lo=0.0, hi=6.0); m = mul(x, c); y = mul(m, half)",
    "d = mul(z, root); e = erf(d); s = add(e, one); m = mul(x, s); y = mul(m, half)",
    "d = mul(x, half); e = erf(d); s = add(e, one); m = mul(x, s); y = mul(m, half)",
    "d = mul(x, root); e = erf(d); s = add(e, two); m = mul(x, s); y = mul(m, half)",
    "d = mul(x, root); e = erf(d); s = add(e, one); m = mul(x, s); y = mul(m, two)",
    f"p = pow(x, two); c = mul(p, cubic); {INNER}; m = mul(x, s); y = mul(m, half)",
    f"p = pow(z, three); c = mul(p, cubic); {INNER}; m = mul(x, s); y = mul(m, half)",
    f"p = pow(x, three); c = mul(p, half); {INNER}; m = mul(x, s); y = mul(m, half)",
    f"q = mul(x, z); p = mul(q, x); c = mul(p, cubic); {INNER}; m = mul(x, s); y = mul(m, half)",
    "e = mul(x, z); y = mul(e, half)",
]


@pytest.mark.parametrize("body", LOOK_ALIKES)
def test_leaves(body: str):
    check_unchanged(text(body), PASS)


def test_the_spelled_parts_stay_where_something_else_reads_them():
    check_rewrite(
        "def f(x: f32[2]):\n    g = sigmoid(x)\n    y = mul(x, g)\n    return y, g",
        PASS,
        """
        def f(x: f32[2]):
            y: f32[2] = silu(x)
            g: f32[2] = sigmoid(x)
            return y, g
        """,
    )
