"""Which edges are marked: those that some integer operation reads in 8 bits, once each."""

import pytest

from qcompile.ir.graph import Graph
from qcompile.ir.ops.quant import Observe, Spec
from qcompile.ir.ops.source import Const
from qcompile.ir.types import I8, U8
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
