"""A vector that is added goes into the biases behind it."""

import numpy as np
import pytest

from qcompile.passes.fold_shifts import FoldShifts
from tests.helpers import check_rewrite, check_unchanged, read

SHIFTED = """
    def f(x: f32[2, 2]):
        c: f32[2] = const([1.0, 2.0])
        s = add(x, c)
        w: f32[2, 2] = const([[1.0, 0.0], [3.0, 5.0]])
        b: f32[2] = const([0.5, 0.0])
        y = mat_mul(s, w, b)
        z = mat_mul(s, w)
        return y, z
    """


def test_into_all_products_that_read_it():
    check_rewrite(
        SHIFTED,
        FoldShifts(),
        """
        def f(x: f32[2, 2]):
            w: f32[2, 2] = const([[1.0, 0.0], [3.0, 5.0]])
            y_bias: f32[2] = const([7.5, 10.0], name="y.bias")
            y: f32[2, 2] = mat_mul(x, w, y_bias)
            z_bias: f32[2] = const([7.0, 10.0], name="z.bias")
            z: f32[2, 2] = mat_mul(x, w, z_bias)
            return y, z
        """,
    )


def test_counts_in_float64():
    after = FoldShifts().run(read(SHIFTED))
    np.testing.assert_array_equal(after.named("y.bias").evaluate(), [7.5, 10.0])


KEPT = {
    "another reader": SHIFTED.replace("return y, z", "r = relu(s)\n        return y, z, r"),
    "an output": SHIFTED.replace("return y, z", "return y, z, s"),
    "the other side of a product": SHIFTED.replace("mat_mul(s, w)", "mat_mul(w, s)"),
    "a shift for each row": SHIFTED.replace("f32[2] = const([1.0, 2.0])", "f32[2, 1] = const(...)"),
}  # fmt: skip


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT.keys())
def test_stays_with(text: str):
    check_unchanged(text, FoldShifts())
