"""Each reader of a shared weight gets one of its own."""

from qcompile.passes.untie_weights import UntieWeights, extra_bytes
from tests.helpers import check_rewrite, check_unchanged, read

TIED = """
    def f(z: f32[2, 5]):
        e: f32[5, 4] = const(...)
        i: i64[2] = const([0, 3])
        x = gather(e, i, axis=0)
        t = transpose(e, perm=(1, 0))
        m = mat_mul(x, t)
        y = add(m, z)
        return y
    """


def test_an_embedding_that_is_the_head_too():
    check_rewrite(
        TIED,
        UntieWeights(),
        """
        def f(z: f32[2, 5]):
            e: f32[5, 4] = const(...)
            i: i64[2] = const([0, 3])
            x: f32[2, 4] = gather(e, i, axis=0)
            e_2: f32[5, 4] = const(..., name="e")
            t: f32[4, 5] = transpose(e_2, perm=(1, 0))
            m: f32[2, 5] = mat_mul(x, t)
            y: f32[2, 5] = add(m, z)
            return y
        """,
        within=0,
    )


def test_both_share_their_array_until_one_changes():
    after = UntieWeights().run(read(TIED))
    first, _, second = after.constants
    assert first.data is second.data


def test_tells_what_it_can_cost():
    assert extra_bytes(read(TIED)) == 5 * 4 * 4
    assert extra_bytes(UntieWeights().run(read(TIED))) == 0


def test_tables_that_no_weight_reads_stay():
    check_unchanged(
        """
        def f(x: f32[3, 4], y: f32[3, 4]):
            c: f32[3, 4] = const(...)
            a = mul(x, c)
            b = mul(y, c)
            return a, b
        """,
        UntieWeights(),
    )
