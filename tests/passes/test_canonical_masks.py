"""Masks of softmaxes in one spelling, and each guard where none is certain."""

import numpy as np
import pytest

from qcompile.ir.ops.binary import Equal
from qcompile.passes.canonicalize import Canonicalize
from tests.helpers import assert_same_meaning, read

PASS = Canonicalize()


def guarded(scores: str, *, given: str = "0.0", read_by: str = "soft") -> str:
    """0 where the softmax of these scores is no number."""
    return f"""
def f(x: f32[2, 3], m: bool[2, 3]):
    never: f32[()] = const(-inf)
    none: f32[()] = const(0.0)
    given: f32[()] = const({given})
    {scores}
    soft: f32[2, 3] = softmax(scores, axis=1)
    same: bool[2, 3] = equal({read_by}, {read_by})
    odd: bool[2, 3] = not_(same)
    y: f32[2, 3] = where(odd, given, soft)
    return {{"y": y}}
"""


SPELLINGS = [
    "scores: f32[2, 3] = where(m, x, never)",
    "bias: f32[2, 3] = where(m, none, never)\n    scores: f32[2, 3] = add(x, bias)",
    "bias: f32[2, 3] = where(m, none, never)\n    scores: f32[2, 3] = add(bias, x)",
]


@pytest.mark.parametrize("scores", SPELLINGS)
def test_rows_that_may_read_nothing_give_zeros(scores: str):
    after = PASS.run(read(guarded(scores)))
    x = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    m = np.array([[True, False, True], [False, False, False]])
    with np.errstate(invalid="ignore"):
        (want,) = read(guarded(scores)).run(x, m)
    np.testing.assert_allclose(after.run(x, m)[0], want, atol=1e-7)
    assert not any(isinstance(node, Equal) for node in after.nodes)


@pytest.mark.parametrize(
    "scores",
    [
        "scores: f32[2, 3] = where(m, never, x)",
        "bias: f32[2, 3] = where(m, never, none)\n    scores: f32[2, 3] = add(x, bias)",
    ],
)
def test_a_mask_of_what_is_forbidden_is_turned_round(scores: str):
    after = PASS.run(read(guarded(scores)))
    x, m = np.ones((2, 3), np.float32), np.array([[True, False, True], [True, True, True]])
    np.testing.assert_allclose(after.run(x, m)[0], [[0, 1, 0], [0, 0, 0]], atol=1e-7)
    assert not any(isinstance(node, Equal) for node in after.nodes)


def test_where_each_row_is_known_to_read_something_no_guard_is_left():
    known = """
def f(x: f32[2, 3]):
    bias: f32[2, 3] = const([[0.0, -inf, -inf], [0.0, 0.0, -inf]])
    scores: f32[2, 3] = add(x, bias)
    soft: f32[2, 3] = softmax(scores, axis=1)
    same: bool[2, 3] = equal(soft, soft)
    odd: bool[2, 3] = not_(same)
    none: f32[()] = const(0.0)
    y: f32[2, 3] = where(odd, none, soft)
    return {"y": y}
"""
    after = PASS.run(read(known))
    assert [node.op for node in after.nodes if node.operands] == ["where", "softmax"]
    assert_same_meaning(read(known), after)


@pytest.mark.parametrize(
    "before",
    [
        guarded(SPELLINGS[0], given="1.0"),
        guarded(SPELLINGS[0], read_by="x"),
        guarded("scores: f32[2, 3] = where(m, x, none)"),
        guarded("bias: f32[2, 3] = where(m, given, none)\n    scores: f32[2, 3] = add(x, bias)"),
    ],
    ids=["another number", "another value", "nothing forbidden", "a plain bias"],
)
def test_other_guards_stay(before: str):
    assert any(isinstance(node, Equal) for node in PASS.run(read(before)).nodes)
