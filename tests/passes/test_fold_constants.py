"""Constants are computed once; large ones only when they are asked for."""

import numpy as np
import pytest

from qcompile.ir.blob import Blob
from qcompile.ir.graph import Graph
from qcompile.ir.ops.pointwise import Neg
from qcompile.ir.ops.source import Const
from qcompile.ir.types import F32
from qcompile.passes.fold_constants import IN_MEMORY, FoldConstants, promise
from tests.helpers import check_rewrite, check_unchanged

PASS = FoldConstants()

FIRES = {
    "a function of constants": (
        """
        def f(x: f32[2]):
            a: f32[2] = const(...)
            b: f32[2] = const(...)
            c = add(a, b)
            d = exp(c)
            y = mul(x, d)
            return y
        """,
        """
        def f(x: f32[2]):
            d: f32[2] = const(...)
            y: f32[2] = mul(x, d)
            return y
        """,
    ),
    "an output that depends on no input": (
        """
        def f(x: f32[2]):
            a: f32[3] = const(...)
            y = relu(a)
            return x, y
        """,
        """
        def f(x: f32[2]):
            y: f32[3] = const(...)
            return x, y
        """,
    ),
    "integers with a unit": (
        """
        def f(x: f32[2]):
            a: i32[2] @ q(0.5) = const([3, 4])
            b: i32[2] @ q(0.5) = const([1, -9])
            c = add(a, b)
            d = dequantize(c)
            y = add(x, d)
            return y
        """,
        """
        def f(x: f32[2]):
            d: f32[2] = const(...)
            y: f32[2] = add(x, d)
            return y
        """,
    ),
}


@pytest.mark.parametrize(("before", "after"), FIRES.values(), ids=FIRES.keys())
def test_folds(before: str, after: str):
    check_rewrite(before, PASS, after, within=0)


STAYS = {
    "what depends on an input": """
        def f(x: f32[2]):
            a: f32[2] = const(...)
            y = add(x, a)
            return y
        """,
    "a weight that is marked": """
        def f(x: f32[1, 2]):
            w: f32[2, 2] = const(...)
            seen = observe(w, spec=spec(elem=i8, symmetric=True))
            y = mat_mul(x, seen)
            return y
        """,
    "a weight that is snapped to its grid": """
        def f(x: f32[1, 2]):
            w: f32[2, 2] = const(...)
            snapped = fake_quant(w, elem=i8, unit=q(0.1))
            y = mat_mul(x, snapped)
            return y
        """,
    "an operator from elsewhere": """
        def f(x: f32[2]):
            a: f32[2] = const(...)
            y: f32[3] = foreign((a,), op_type="Odd", domain="com.x", opsets=(("com.x", 1),), payload=base64("AAE="), names=("a",), result_names=("b",), results=(f32[3],), index=0)
            return x, y
        """,  # noqa: E501
}


@pytest.mark.parametrize("text", STAYS.values(), ids=STAYS.keys())
def test_stays(text: str):
    check_unchanged(text, PASS)


def refused() -> np.ndarray:
    raise AssertionError("the weight was loaded")


def test_a_large_result_is_not_computed_before_it_is_asked_for():
    large = Const(Blob((IN_MEMORY // 4 + 1,), np.dtype(np.float32), refused), F32, name="w")
    folded = PASS.run(Graph("f", (), (("y", Neg(large, name="y")),)))
    assert isinstance(folded.results[0], Const)
    assert folded.results[0].type == large.type
    with pytest.raises(AssertionError, match="the weight was loaded"):
        folded.run()


def test_a_small_result_is_computed_at_once_and_kept():
    loads: list[int] = []

    def load() -> np.ndarray:
        loads.append(1)
        return np.ones(4, np.float32)

    small = Const(Blob((4,), np.dtype(np.float32), load), F32, name="w")
    kept = promise(Neg(small))
    assert kept.array().tolist() == [-1.0] * 4
    assert len(loads) == 1
