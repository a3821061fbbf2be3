"""Tour, 2 of 7: a rewrite is a `match` statement.

A rule looks at one node, whose operands are already final, and returns its replacement or None.
It changes nothing; `rewrite` builds a new graph that shares every untouched part with the old.
"""

from qcompile.ir.node import Node
from qcompile.ir.ops.pointwise import Exp, Log, Neg
from qcompile.ir.parse import parse
from qcompile.ir.rewrite import Site, rewrite, until_same
from tests.helpers import check_rewrite, check_unchanged


# Structure on the left, guards behind `if`: the shape of nearly every rule of the compiler.
def cancel(node: Node, site: Site) -> Node | None:
    """−(−x) → x, and log(exp(x)) → x when nobody else reads the exp."""
    match node:
        case Neg(x=Neg(x=x)):
            return x
        case Log(x=Exp(x=x) as inner) if site.sole(inner):
            return x
        case _:
            return None


# `check_rewrite` reads a text, applies the rule, compares with the expected text, runs both graphs
# on the same data, and makes sure that a second run finds nothing left to do.
def test_fires():
    check_rewrite(
        """
        def f(x: f32[3]):
            a = neg(x)
            b = exp(a)
            c = log(b)
            y = neg(c)
            z = abs(y)
            return z
        """,
        cancel,
        """
        def f(x: f32[3]):
            z: f32[3] = abs(x)
            return z
        """,
    )


# Each guard deserves the text that it guards against.
def test_leaves_an_exp_that_is_needed_anyway():
    check_unchanged("def f(x: f32[3]):\n    a = exp(x)\n    y = log(a)\n    return y, a", cancel)


# "Nothing fired" is the same object, not a flag: it cannot lie. Loops to a fixed point rest on it.
def test_nothing_to_do_is_the_same_object():
    graph = parse("def f(x: f32[3]):\n    y = exp(x)\n    return y")
    assert rewrite(graph, cancel) is graph
    assert until_same(graph, cancel) is graph


# Old and new graphs live side by side; comparing or bisecting them costs nothing.
def test_untouched_parts_are_shared():
    before = parse(
        "def f(x: f32[3]):\n    a = exp(x)\n    b = neg(a)\n    y = neg(b)\n    return y, a"
    )
    after = rewrite(before, cancel)
    assert after.named("a") is before.named("a")
    assert after.results == (before.named("a"), before.named("a"))
