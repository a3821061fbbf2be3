"""Layer norms lose their centring where all that writes the stream can be centred."""

import numpy as np
import pytest

from qcompile.passes.center_norms import CenterNorms
from tests.helpers import check_rewrite, check_unchanged, read

STREAM = """
    def f(x: f32[2, 3]):
        e: f32[3, 4] = const(...)
        b: f32[4] = const([1.0, 2.0, 3.0, 6.0])
        s = mat_mul(x, e, b)
        g: f32[4] = const([2.0, 3.0, 0.5, 4.0])
        h: f32[4] = const([1.0, -2.0, 3.0, 0.5])
        n = layer_norm(s, g, h, axis=1)
        w: f32[4, 5] = const(...)
        y = mat_mul(n, w)
        return y
    """


def test_what_writes_the_stream_is_centred():
    check_rewrite(
        STREAM,
        CenterNorms(),
        """
        def f(x: f32[2, 3]):
            e: f32[3, 4] = const(...)
            b: f32[4] = const([-2.0, -1.0, 0.0, 3.0])
            s: f32[2, 4] = mat_mul(x, e, b)
            g: f32[4] = const([2.0, 3.0, 0.5, 4.0])
            n_scaled: f32[2, 4] = rms_norm(s, g, axis=1, name="n.scaled")
            h: f32[4] = const([1.0, -2.0, 3.0, 0.5])
            n: f32[2, 4] = add(n_scaled, h)
            w: f32[4, 5] = const(...)
            y: f32[2, 5] = mat_mul(n, w)
            return y
        """,
    )


def test_each_row_of_the_weight_then_has_mean_0():
    after = CenterNorms().run(read(STREAM))
    np.testing.assert_allclose(after.named("e").evaluate().mean(1), 0, atol=1e-7)


def test_without_parameters_it_is_one_norm():
    after = CenterNorms().run(read(STREAM.replace("layer_norm(s, g, h,", "layer_norm(s,")))
    assert [node.op for node in after.nodes if "norm" in node.op] == ["rms_norm"]


KEPT = {
    "another reader of the stream": STREAM.replace(
        "        return y",
        "        v: f32[4, 2] = const(...)\n        z = mat_mul(s, v)\n        return y, z",
    ),
    "a norm of lengths beside it": STREAM.replace(
        "        return y",
        "        m = rms_norm(s, axis=1)\n        z = mat_mul(m, w)\n        return y, z",
    ),
    "a stream that is given": STREAM.replace("s = mat_mul(x, e, b)", "s = add(p, b)").replace(
        "x: f32[2, 3]", "p: f32[2, 4]"
    ),
    "a reader that stops rotations anyway": STREAM.replace("mat_mul(n, w)", "relu(n)"),
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT.keys())
def test_stays_with(text: str):
    check_unchanged(text, CenterNorms())
