"""Which edges are marked: those that some integer operation reads in 8 bits, once each."""

import pytest

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.quant import Observe, Spec
from qcompile.ir.ops.source import Const
from qcompile.ir.types import I8, U8
from qcompile.ir.widths import W4A4, W4A8, W8A8
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.recipe import Recipe
from qcompile.passes.specify import Specify, without_marks
from tests.helpers import assert_same_meaning, check_rewrite, check_unchanged, read

PASS = Specify()


def marked(graph: Graph) -> list[str]:
    """The names of the observed activations."""
    return [n.x.name for n in graph.nodes if isinstance(n, Observe) and not isinstance(n.x, Const)]


def test_an_input_and_a_weight_are_marked_and_a_sum_at_an_output_is_not():
    check_rewrite(
        """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[3, 2, 1, 1] = const(...)
            b: f32[3] = const(...)
            y = conv(x, w, b)
            return y
        """,
        PASS,
        """
        def f(x: f32[1, 2, 4, 4]):
            x_range: f32[1, 2, 4, 4] = observe(x, spec=spec(method="auto"), name="x.range")
            w: f32[3, 2, 1, 1] = const(...)
            w_range: f32[3, 2, 1, 1] = observe(w, spec=spec(elem=i8, symmetric=True, axis=0), name="w.range")
            b: f32[3] = const(...)
            y: f32[1, 3, 4, 4] = conv(x_range, w_range, b)
            return y
        """,  # noqa: E501
        within=0,
    )


CONV = """
    def f(x: f32[1, 2, 4, 4]):
        w: f32[2, 2, 1, 1] = const(...)
        {}
        return y
    """
EDGES = {
    "a bound goes with the sum before it": ("a = conv(x, w); r = relu(a); y = conv(r, w)", "x r"),
    "a sum that a table reads": ("a = conv(x, w); t = sigmoid(a); y = conv(t, w)", "x a t"),
    "sums stay wide into an addition": (
        "a = conv(x, w); b = conv(x, w); s = add(a, b); y = conv(s, w)",
        "x s",
    ),
    "a bounded sum stays wide, too": (
        "a = conv(x, w); r = relu(a); b = conv(x, w); s = add(r, b); y = conv(s, w)",
        "x s",
    ),
    "an addition of additions": (
        "a = conv(x, w); b = conv(x, w); s = add(a, b); t = sub(s, x); y = conv(t, w)",
        "x t",
    ),
    "a sum that is read twice": ("a = conv(x, w); b = conv(a, w); y = add(a, b)", "x a"),
    "an addition at an output": ("a = conv(x, w); y = add(a, x)", "x"),
    "a bound that cannot be fused": (
        "a = conv(x, w); r = relu(a); b = conv(a, w); c = conv(r, w); y = add(b, c)",
        "x a r",
    ),
    "a move takes the range of what it moves": (
        "a = conv(x, w); t = transpose(a, perm=(0, 1, 3, 2)); y = conv(t, w)",
        "x a",
    ),
    "a move that only an output reads": (
        "a = conv(x, w); y = transpose(a, perm=(0, 1, 3, 2))",
        "x",
    ),
    "the parts of a concat": (
        "a = conv(x, w); b = relu(a); c = concat((x, b), axis=0); y = conv(c, w)",
        "x b",
    ),
    "an average": ("a = conv(x, w); y = reduce_mean(a, axes=(2, 3))", "x a"),
    "a product of values": ("a = conv(x, w); y = mul(a, x)", "x a"),
    "a product with one number is a table": (
        "a = conv(x, w); two: f32[()] = const(2.0); y = mul(a, two)",
        "x a",
    ),
    "softmax takes a sum as it is": ("a = conv(x, w); y = softmax(a, axis=1)", "x"),
    "what stays float is not marked": ("a = conv(x, w); y = exp(a)", "x"),
    "what was float is": ("a = exp(x); y = conv(a, w)", "a"),
    "an input that nothing quantized reads": ("y = exp(x)", ""),
}


@pytest.mark.parametrize(("body", "edges"), EDGES.values(), ids=EDGES.keys())
def test_marks(body: str, edges: str):
    before = read(CONV.format(body.replace("; ", "\n        ")))
    after = PASS.run(before)
    assert sorted(marked(after)) == sorted(edges.split())
    assert_same_meaning(before, after, within=0)
    assert PASS.run(after) is after or not edges


def test_an_engine_of_pairs_wants_sums_marked():
    graph = read(CONV.format("a = conv(x, w)\n        y = add(a, x)"))
    assert marked(Specify(Recipe(wide_sums=False)).run(graph)) == ["x", "a"]


WEIGHTS = {
    "y = conv(x, w)": ("f32[2, 2, 1, 1]", 0),
    "y = conv_transpose(x, w)": ("f32[2, 3, 1, 1]", 1),
    "y = mat_mul(x, w)": ("f32[4, 3]", 1),
    "y = mat_mul(w, x)": ("f32[3, 4]", None),
    "y = mat_mul(x, w) ": ("f32[2, 4, 3]", None),
}


@pytest.mark.parametrize("call", WEIGHTS)
def test_weights_are_symmetric_with_one_scale_for_each_output_channel(call: str):
    shape, axis = WEIGHTS[call]
    text = f"def f(x: f32[1, 2, 4, 4]):\n    w: {shape} = const(...)\n    {call}\n    return y"
    after = PASS.run(read(text))
    seen = after.named("w.range")
    assert isinstance(seen, Observe)
    assert seen.spec == Spec(I8, symmetric=True, axis=axis)


@pytest.mark.parametrize("pattern", ["y", "y*", "op:Conv", "op:conv"])
def test_what_is_excluded_is_not_marked(pattern: str):
    text = CONV.format("y = conv(x, w)")
    check_unchanged(text, Specify(Recipe(exclude=(pattern,))))


def test_excluding_one_leaves_the_others():
    graph = read(CONV.format("a = conv(x, w)\n        b = relu(a)\n        y = conv(b, w)"))
    assert marked(Specify(Recipe(exclude=("a",))).run(graph)) == ["b"]


def test_the_recipe_says_how():
    spec = Spec(U8, symmetric=True, method="entropy")
    after = Specify(Recipe(activation=spec)).run(read(CONV.format("y = conv(x, w)")))
    seen = after.named("x.range")
    assert isinstance(seen, Observe)
    assert seen.spec is spec


def test_a_weight_that_is_computed_stays_float():
    text = "def f(x: f32[1, 2, 4, 4], w: f32[2, 2, 1, 1]):\n    y = conv(x, w)\n    return y"
    check_unchanged(text, PASS)


def test_marks_can_be_taken_off():
    before = read(CONV.format("a = conv(x, w)\n        y = sigmoid(a)"))
    bare = without_marks(PASS.run(before))
    assert marked(bare) == []
    assert_same_meaning(before, bare, within=0)


FOUR = Recipe(widths=WidthRule(W4A4, ends=W4A4))


def widths(graph: Graph) -> dict[str, str]:
    """What every contraction reads: the formats of its input and its weight."""
    return {n.name: f"{_elem(n.operands[0])} {_elem(n.operands[1])}" for n in graph.nodes
            if isinstance(n, Conv)}  # fmt: skip


def _elem(node: Node) -> str:
    """The format of the mark that a value comes from, through moves."""
    while not isinstance(node, Observe):
        node = node.operands[0]
    return str(node.spec.elem)


def test_a_value_for_contractions_of_4_bits_alone_is_marked_once():
    check_rewrite(
        """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[2, 2, 1, 1] = const(...)
            y = conv(x, w)
            return y
        """,
        Specify(FOUR),
        """
        def f(x: f32[1, 2, 4, 4]):
            x_range: f32[1, 2, 4, 4] = observe(x, spec=spec(elem=u4, method="auto"), name="x.range")
            w: f32[2, 2, 1, 1] = const(...)
            w_range: f32[2, 2, 1, 1] = observe(w, spec=spec(elem=i4, symmetric=True, axis=0, method="mse"), name="w.range")
            y: f32[1, 2, 4, 4] = conv(x_range, w_range)
            return y
        """,  # noqa: E501
        within=0,
    )


def test_a_skip_connection_stays_in_8_bits_and_the_convolution_reads_a_narrow_copy():
    check_rewrite(
        """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[2, 2, 1, 1] = const(...)
            a = conv(x, w)
            y = add(x, a)
            return y
        """,
        Specify(FOUR),
        """
        def f(x: f32[1, 2, 4, 4]):
            x_range: f32[1, 2, 4, 4] = observe(x, spec=spec(method="auto"), name="x.range")
            x_u4_range: f32[1, 2, 4, 4] = observe(x_range, spec=spec(elem=u4, method="auto"), name="x.u4.range")
            w: f32[2, 2, 1, 1] = const(...)
            w_range: f32[2, 2, 1, 1] = observe(w, spec=spec(elem=i4, symmetric=True, axis=0, method="mse"), name="w.range")
            a: f32[1, 2, 4, 4] = conv(x_u4_range, w_range)
            y: f32[1, 2, 4, 4] = add(x_range, a)
            return y
        """,  # noqa: E501
        within=0,
    )


POOL = "kernel=(2, 2), stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1)"
MIXED = {
    "first and last keep 8 bits": (
        WidthRule(W4A4),
        "a = conv(x, w); b = conv(a, w); y = conv(b, w)",
        {"a": "u8 i8", "b": "u4 i4", "y": "u8 i8"},
        "x:u8 a:u4 b:u8",
    ),
    "weights alone": (
        WidthRule(W4A8, ends=W4A8),
        "a = conv(x, w); y = conv(a, w)",
        {"a": "u8 i4", "y": "u8 i4"},
        "x:u8 a:u8",
    ),
    "one layer by name": (
        WidthRule(overrides={"y": W4A4}),
        "a = conv(x, w); y = conv(a, w)",
        {"a": "u8 i8", "y": "u4 i4"},
        "x:u8 a:u4",
    ),
    "two readers of different widths": (
        WidthRule(W8A8, overrides={"b": W4A4}),
        "a = conv(x, w); b = conv(a, w); c = conv(a, w); y = add(b, c)",
        {"a": "u8 i8", "b": "u4 i4", "c": "u8 i8"},
        "x:u8 a:u8 a.u4:u4",
    ),
    "a move passes 4 bits up when all its readers want them": (
        WidthRule(W4A4, ends=W4A4),
        f"a = conv(x, w); p = max_pool(a, {POOL}); y = conv(p, w)",
        {"a": "u4 i4", "y": "u4 i4"},
        "x:u4 a:u4",
    ),
    "a move whose readers differ moves 8 bits and is narrowed behind": (
        WidthRule(W4A4, ends=W4A4),
        f"a = conv(x, w); p = max_pool(a, {POOL}); b = conv(p, w); t = sigmoid(p); y = add(b, t)",
        {"a": "u4 i4", "b": "u4 i4"},
        "x:u4 a:u8 p.u4:u4 t:u8",
    ),
    "a move that is read in reals, too": (
        WidthRule(W4A4, ends=W4A4),
        "a = conv(x, w); t = transpose(a, perm=(0, 1, 3, 2)); b = conv(t, w); e = exp(t); "
        "y = add(b, e)",
        {"a": "u4 i4", "b": "u4 i4"},
        "x:u4 a:u8 t.u4:u4 e:u8",
    ),
    "the parts of a concat": (
        WidthRule(W4A4, ends=W4A4),
        "a = conv(x, w); b = relu(a); c = concat((x, b), axis=0); y = conv(c, w)",
        {"a": "u4 i4", "y": "u4 i4"},
        "x:u4 b:u4",
    ),
    "a part of a concat that an addition reads, too": (
        WidthRule(W4A4, ends=W4A4),
        "a = conv(x, w); c = concat((x, a), axis=0); b = conv(c, w); d = slice(b, axes=(0,), "
        "starts=(0,), stops=(1,), steps=(1,)); y = add(x, d)",
        {"a": "u4 i4", "b": "u4 i4"},
        "x:u8 x.u4:u4 a:u4 b:u8",
    ),
    "tables, averages and products of values want 8 bits": (
        WidthRule(W4A4, ends=W4A4),
        "a = conv(x, w); t = sigmoid(a); m = mul(t, a); y = reduce_mean(m, axes=(2, 3))",
        {"a": "u4 i4"},
        "x:u4 a:u8 t:u8 m:u8",
    ),
    "depthwise": (
        WidthRule(W4A4, ends=W4A4),
        "d: f32[2, 1, 1, 1] = const(...); a = conv(x, d, groups=2); y = conv(a, w)",
        {"a": "u8 i8", "y": "u4 i4"},
        "x:u8 a:u4",
    ),
    "depthwise on request": (
        WidthRule(W4A4, ends=W4A4, overrides={"a": W4A4}),
        "d: f32[2, 1, 1, 1] = const(...); a = conv(x, d, groups=2); y = conv(a, w)",
        {"a": "u4 i4", "y": "u4 i4"},
        "x:u4 a:u4",
    ),
}


@pytest.mark.parametrize(("rule", "body", "reads", "marks"), MIXED.values(), ids=MIXED.keys())
def test_widths(rule: WidthRule, body: str, reads: dict[str, str], marks: str):
    before = read(CONV.format(body.replace("; ", "\n        ")))
    after = Specify(Recipe(widths=rule)).run(before)
    assert widths(after) == reads
    seen = [n for n in after.nodes if isinstance(n, Observe) and not isinstance(n.x, Const)]
    found = {f"{n.name.removesuffix('.range')}:{n.spec.elem}" for n in seen}
    assert found == set(marks.split())
    assert_same_meaning(before, after, within=0)
    assert Specify(Recipe(widths=rule)).run(after) is after


def test_an_output_keeps_8_bits():
    text = """
    def f(x: f32[1, 2, 4, 4]):
        w: f32[2, 2, 1, 1] = const(...)
        a = conv(x, w)
        b = conv(a, w)
        return a, b
    """
    after = Specify(FOUR).run(read(text))
    assert marked(after) == ["x", "a", "a.range"]
    assert isinstance(after.results[0], Observe)
    assert after.results[0].spec.elem == U8
