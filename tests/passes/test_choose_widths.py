"""Which contraction gets how many bits: the rule, its exceptions, and why."""

import pytest

from qcompile.ir.graph import Graph
from qcompile.ir.widths import W4A4, W4A8, W8A8, Widths
from qcompile.passes.choose_widths import BY_NORMS, WidthRule, choose_widths
from tests.helpers import read

CHAIN = """
    def f(x: f32[1, 4, 6, 6]):
        w: f32[4, 4, 1, 1] = const(...)
        d: f32[4, 1, 3, 3] = const(...)
        a = conv(x, w)
        b = conv(a, w)
        c = conv(b, d, pads=(1, 1, 1, 1), groups=4)
        y = conv(c, w)
        return y
    """


def choices(graph: Graph, rule: WidthRule) -> dict[str, str]:
    return {n.name: str(c.widths) for n, c in choose_widths(graph, rule).items()}


def reasons(graph: Graph, rule: WidthRule) -> dict[str, str]:
    return {n.name: c.why for n, c in choose_widths(graph, rule).items()}


def test_the_first_the_last_and_the_depthwise_one_keep_eight_bits():
    found = choices(read(CHAIN), WidthRule(W4A4))
    assert found == {"a": "W8A8", "b": "W4A4", "c": "W8A8", "y": "W8A8"}


def test_every_exception_says_why():
    assert reasons(read(CHAIN), WidthRule(W4A4)) == {
        "a": "it reads an input",
        "b": "",
        "c": "depthwise: not run on tensor cores",
        "y": "no contraction is behind it",
    }


def test_the_exceptions_are_data():
    found = choices(read(CHAIN), WidthRule(W4A8, ends=W4A4, depthwise=Widths(6, 8)))
    assert found == {"a": "W4A4", "b": "W4A8", "c": "W6A8", "y": "W4A4"}


@pytest.mark.parametrize("pattern", ["y", "op:Conv", "?"])
def test_what_is_asked_for_comes_before_every_rule(pattern: str):
    found = choices(read(CHAIN), WidthRule(W8A8, overrides={pattern: W4A4}))
    assert found["y"] == "W4A4"


def test_of_several_patterns_the_last_one_counts():
    rule = WidthRule(overrides={"op:Conv": W4A4, "b": W4A8, "c": W4A8, "[c]": W4A4})
    assert choices(read(CHAIN), rule) == {"a": "W4A4", "b": "W4A8", "c": "W4A4", "y": "W4A4"}


NORMED = """
    def f(x: f32[1, 4, 6]):
        w: f32[6, 6] = const(...)
        n = %s
        t = transpose(n, perm=(0, 1, 2))
        y = mat_mul(t, w)
        return y
    """


@pytest.mark.parametrize("norm", ["rms_norm(x, axis=2)", "layer_norm(x, axis=2)"])
def test_products_behind_norms_are_scaled_at_run_time_where_the_rule_says_so(norm: str):
    graph = read(NORMED % norm)
    assert choices(graph, WidthRule(W4A8, ends=W8A8)) == {"y": "W8A8"}
    assert choices(graph, WidthRule(W4A8, ends=W8A8, scaling=BY_NORMS)) == {"y": "W8A8-token"}


def test_without_a_norm_they_are_not():
    assert choices(read(NORMED % "relu(x)"), WidthRule(scaling=BY_NORMS)) == {"y": "W8A8"}


def test_convolutions_never_are():
    assert choices(read(CHAIN), WidthRule(scaling=BY_NORMS))["b"] == "W8A8"


BETWEEN = {
    "a pool": ("p = max_pool(x, kernel=(1, 1), stride=(1, 1), pads=(0, 0, 0, 0), "
               "dilation=(1, 1)); a = conv(p, w)", "it reads an input"),
    "a function of one value": ("p = sigmoid(x); a = conv(p, w)", "it reads an input"),
    "a sum with the input": ("p = conv(x, w); q = add(p, x); a = conv(q, w)", ""),
}  # fmt: skip


@pytest.mark.parametrize(("before", "why"), BETWEEN.values(), ids=BETWEEN.keys())
def test_what_lies_between_an_input_and_the_first(before: str, why: str):
    body = before.replace("; ", "\n        ")
    text = f"""
    def f(x: f32[1, 2, 4, 4]):
        w: f32[2, 2, 1, 1] = const(...)
        {body}
        y = conv(a, w)
        return y
    """
    assert reasons(read(text), WidthRule(W4A4))["a"] == why


def test_two_heads_are_both_last():
    text = """
    def f(x: f32[1, 2, 4, 4]):
        w: f32[2, 2, 1, 1] = const(...)
        a = conv(x, w)
        b = conv(a, w)
        y = conv(b, w)
        z = sigmoid(b)
        u = conv(z, w)
        return y, u
    """
    found = choices(read(text), WidthRule(W4A4))
    assert found == {"a": "W8A8", "b": "W4A4", "y": "W8A8", "u": "W8A8"}


def test_a_product_of_two_values_keeps_eight_bits():
    text = """
    def f(x: f32[4, 4]):
        w: f32[4, 4] = const(...)
        a = mat_mul(x, w)
        b = mat_mul(a, w)
        c = mat_mul(a, b)
        y = mat_mul(c, w)
        return y
    """
    found = choices(read(text), WidthRule(W4A4))
    assert found == {"a": "W8A8", "b": "W4A4", "c": "W8A8", "y": "W8A8"}
