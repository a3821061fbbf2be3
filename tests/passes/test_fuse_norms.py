"""Every spelled-out norm, and spellings that only look like one."""
# ruff: noqa: E501  one spelling a line

import pytest
import torch
from torch import Tensor, nn

from qcompile.frontends.torch_export import read_torch
from qcompile.ir.ops.norm import LayerNorm, RmsNorm
from qcompile.passes.fuse_norms import FuseNorms
from qcompile.stages import simplify
from tests.helpers import assert_close, check_rewrite, check_unchanged

PASS = FuseNorms()
NUMBERS = {
    "eps": 1e-5, "two": 2.0, "half": 0.5, "minus": -0.5, "one": 1.0, "third": 1 / 3, "four": 0.25,
}  # fmt: skip


def text(body: str, kind: str = "f32[2, 4, 3]") -> str:
    """The lines after those of the constants they use."""
    used = [name for name in NUMBERS if f" {name})" in body or f"({name}, " in body]
    consts = "".join(f"    {name}: f32[()] = const({NUMBERS[name]})\n" for name in used)
    consts += "    w: f32[3] = const(...)\n" * ("w)" in body)
    consts += "    b: f32[3] = const(...)\n" * ("b)" in body or "(b" in body)
    lines = "".join(f"    {line}\n" for line in body.split("; "))
    return f"def f(x: {kind}, z: {kind}):\n{consts}{lines}    return y\n"


MEAN = "m = reduce_mean(x, axes=(2,)); c = sub(x, m)"
VARIANCE = "q = mul(c, c); v = reduce_mean(q, axes=(2,))"
ROOT = "g = add(v, eps); r = sqrt(g)"
CENTRED = f"{MEAN}; {VARIANCE}; {ROOT}"
FLAX = (
    "s = reduce_sum(x, axes=(2,), keepdims=False); m = mul(s, third); k = reshape(m); "
    "c = sub(x, k); p = mul(x, x); t = reduce_sum(p, axes=(2,), keepdims=False); "
    "e = mul(t, third); q = mul(m, m); d = sub(e, q)"
).replace("k = reshape(m)", "k: f32[2, 4, 1] = reshape(m)")
SQUARE = "q = mul(x, x); v = reduce_mean(q, axes=(2,))"
LAYER, RMS = "layer_norm(x, axis=2)", "rms_norm(x, axis=2)"

PLAIN: list[tuple[str, str]] = [
    (f"{CENTRED}; y = div(c, r)", LAYER),
    (f"{MEAN}; q = pow(c, two); v = reduce_mean(q, axes=(2,)); {ROOT}; y = div(c, r)", LAYER),
    (f"{CENTRED}; i = reciprocal(r); y = mul(c, i)", LAYER),
    (f"{CENTRED}; i = reciprocal(r); y = mul(i, c)", LAYER),
    (f"{CENTRED}; i = div(one, r); y = mul(c, i)", LAYER),
    (f"{MEAN}; {VARIANCE}; g = add(v, eps); r = pow(g, half); y = div(c, r)", LAYER),
    (f"{MEAN}; {VARIANCE}; g = add(v, eps); i = pow(g, minus); y = mul(c, i)", LAYER),
    (f"{MEAN}; n = reduce_mean(x, axes=(2,)); d = sub(x, n); {VARIANCE}; {ROOT}; y = div(d, r)", LAYER),
    (f"{MEAN}; d = sub(x, m); {VARIANCE}; {ROOT}; y = div(d, r)", LAYER),
    (f"{FLAX}; v: f32[2, 4, 1] = reshape(d); {ROOT}; i = reciprocal(r); y = mul(c, i)", LAYER),
    (f"{FLAX}; h = clip(d, lo=0.0); v: f32[2, 4, 1] = reshape(h); {ROOT}; y = div(c, r)", LAYER),
    (f"{FLAX}; h = relu(d); g = add(h, eps); r = sqrt(g); j: f32[2, 4, 1] = reshape(r); y = div(c, j)", LAYER),
    (f"{FLAX}; g = add(d, eps); r = sqrt(g); i = reciprocal(r); j: f32[2, 4, 1] = reshape(i); y = mul(c, j)", LAYER),
    (f"{MEAN}; p = mul(x, x); e = reduce_mean(p, axes=(2,)); f = mul(m, m); v = sub(e, f); {ROOT}; i = reciprocal(r); k = mul(x, i); h = mul(m, i); y = sub(k, h)", LAYER),
    (f"{SQUARE}; {ROOT}; y = div(x, r)", RMS),
    (f"q = pow(x, two); v = reduce_mean(q, axes=(2,)); {ROOT}; i = reciprocal(r); y = mul(x, i)", RMS),
    (f"{SQUARE}; g = add(v, eps); i = pow(g, minus); y = mul(x, i)", RMS),
    (f"{SQUARE}; {ROOT}; i = div(one, r); y = mul(i, x)", RMS),
    (f"q = mul(x, x); s = reduce_sum(q, axes=(2,)); v = mul(s, third); {ROOT}; y = div(x, r)", RMS),
]  # fmt: skip


@pytest.mark.parametrize(("body", "call"), PLAIN)
def test_recognizes(body: str, call: str):
    after = f"def f(x: f32[2, 4, 3], z: f32[2, 4, 3]):\n    y: f32[2, 4, 3] = {call}\n    return y"
    check_rewrite(text(body), PASS, after)


WITH = [
    (f"{CENTRED}; n = div(c, r); y = mul(n, w)", "layer_norm(x, w, axis=2)", "w"),
    (f"{CENTRED}; n = div(c, r); y = add(n, b)", "layer_norm(x, None, b, axis=2)", "b"),
    (f"{CENTRED}; n = div(c, r); s = mul(n, w); y = add(s, b)", "layer_norm(x, w, b, axis=2)", "wb"),
    (f"{CENTRED}; i = reciprocal(r); s = mul(i, w); y = mul(c, s)", "layer_norm(x, w, axis=2)", "w"),
    (f"{SQUARE}; {ROOT}; n = div(x, r); y = mul(n, w)", "rms_norm(x, w, axis=2)", "w"),
    (f"{SQUARE}; {ROOT}; i = reciprocal(r); s = mul(i, w); y = mul(x, s)", "rms_norm(x, w, axis=2)", "w"),
    ("m = reduce_mean(x, axes=(2,)); p = mul(x, x); e = reduce_mean(p, axes=(2,)); f = mul(m, m); v = sub(e, f); "
     f"{ROOT}; i = reciprocal(r); s = mul(i, w); k = mul(x, s); h = mul(m, s); t = sub(b, h); y = add(k, t)",
     "layer_norm(x, w, b, axis=2)", "wb"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "call", "parameters"), WITH)
def test_takes_in_parameters(body: str, call: str, parameters: str):
    consts = "".join(f"    {p}: f32[3] = const(...)\n" for p in parameters)
    after = f"def f(x: f32[2, 4, 3], z: f32[2, 4, 3]):\n{consts}    y: f32[2, 4, 3] = {call}\n    return y"
    check_rewrite(text(body), PASS, after)


def test_a_parameter_of_one_number_fills_its_row():
    body = f"{SQUARE}; {ROOT}; n = div(x, r); y = mul(n, half)"
    check_rewrite(
        text(body),
        PASS,
        """
        def f(x: f32[2, 4, 3], z: f32[2, 4, 3]):
            half: f32[3] = const([0.5, 0.5, 0.5])
            y: f32[2, 4, 3] = rms_norm(x, half, axis=2)
            return y
        """,
    )


def test_over_two_axes():
    body = f"{CENTRED}; y = div(c, r)".replace("(2,)", "(1, 2)")
    after = """
        def f(x: f32[2, 4, 3], z: f32[2, 4, 3]):
            y: f32[2, 4, 3] = layer_norm(x, axis=1)
            return y
        """
    check_rewrite(text(body), PASS, after)


HALVES = """
    def f(x: f16[2, 3]):
        eps: f32[()] = const(1e-5)
        w: f16[3] = const(...)
        wide: f32[2, 3] = cast(x)
        q = mul(wide, wide)
        v = reduce_mean(q, axes=(1,))
        g = add(v, eps)
        r = sqrt(g)
        n = div(wide, r)
        c: f16[2, 3] = cast(n)
        y = mul(c, w)
        return y
"""


def test_halves_are_normalized_in_singles():
    after = """
        def f(x: f16[2, 3]):
            wide: f32[2, 3] = cast(x)
            w: f32[3] = const(...)
            n: f32[2, 3] = rms_norm(wide, w, axis=1)
            y: f16[2, 3] = cast(n)
            return y
        """
    check_rewrite(HALVES, PASS, after, within=2e-3)


NEAR_MISSES = [
    f"{CENTRED}; y = div(x, r)",
    f"{CENTRED}; y = div(z, r)",
    f"{MEAN}; {VARIANCE}; r = sqrt(v); g = add(r, eps); y = div(c, g)",
    f"{MEAN}; {VARIANCE}; r = sqrt(v); y = div(c, r)",
    f"{CENTRED}; n = div(r, c); y = mul(n, n)",
    f"{SQUARE}; {ROOT}; y = mul(x, r)",
    f"{SQUARE}; {ROOT}; y = div(z, r)",
    f"q = mul(x, z); v = reduce_mean(q, axes=(2,)); {ROOT}; y = div(x, r)",
    f"q = mul(x, x); v = reduce_sum(q, axes=(2,)); {ROOT}; y = div(x, r)",
    f"q = mul(x, x); s = reduce_sum(q, axes=(2,)); v = mul(s, four); {ROOT}; y = div(x, r)",
    f"q = mul(x, x); v = reduce_mean(q, axes=(1,)); {ROOT}; y = div(x, r)",
    f"q = mul(x, x); v = reduce_mean(q, axes=(0, 2)); {ROOT}; y = div(x, r)",
    f"q = mul(x, x); v = reduce_max(q, axes=(2,)); {ROOT}; y = div(x, r)",
    f"q = pow(x, half); v = reduce_mean(q, axes=(2,)); {ROOT}; y = div(x, r)",
    f"{SQUARE}; g = add(v, w); r = sqrt(g); y = div(x, r)",
    f"m = reduce_mean(z, axes=(2,)); p = mul(x, x); e = reduce_mean(p, axes=(2,)); f = mul(m, m); v = sub(e, f); {ROOT}; c = sub(x, m); y = div(c, r)",
]  # fmt: skip


@pytest.mark.parametrize("body", NEAR_MISSES)
def test_leaves_what_only_looks_alike(body: str):
    check_unchanged(text(body), PASS)


def test_leaves_a_norm_across_rows_that_are_as_many_as_places():
    body = f"{CENTRED}; y = div(c, r)".replace("(2,)", "(1,)")
    check_unchanged(text(body, "f32[2, 3, 3]"), PASS)


def test_leaves_a_factor_that_differs_from_row_to_row():
    source = """
        def f(x: f32[2, 3]):
            w: f32[2, 3] = const(...)
            n: f32[2, 3] = rms_norm(x, axis=1)
            y: f32[2, 3] = mul(n, w)
            return y
    """
    check_unchanged(source, PASS)


def test_leaves_a_norm_that_is_read_without_its_factor_too():
    source = """
        def f(x: f32[2, 3]):
            w: f32[3] = const(...)
            n: f32[2, 3] = rms_norm(x, axis=1)
            y: f32[2, 3] = mul(n, w)
            return y, n
    """
    check_unchanged(source, PASS)


class Gemma(nn.Module):
    """Root mean square norm by 1 + w, in singles whatever the operand is."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(8, generator=torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return (wide * (1.0 + self.w.float())).type_as(x)


class ByVariance(nn.Module):
    """A layer norm by torch's own mean and variance."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((-2, -1), keepdim=True)
        return (x - mean) * torch.rsqrt(x.var((-2, -1), keepdim=True, correction=0) + 1e-3)


@pytest.mark.parametrize(("module", "kind"), [(Gemma(), RmsNorm), (ByVariance(), LayerNorm)])
def test_torch_modules_become_one_node(module: nn.Module, kind: type):
    x = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1))
    graph = simplify(read_torch(module, inputs=(x,)))
    assert [type(n) for n in graph.nodes if n.operands] == [kind]
    assert_close(graph.run(x.numpy())[0], module(x).detach().numpy(), within=1e-6)
