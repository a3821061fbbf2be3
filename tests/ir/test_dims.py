"""Lengths are numbers, or symbols that keep the expression they came from."""

import pytest

from qcompile.ir.dims import Symbol, bind, broadcast, is_static, show, size, static

n = Symbol("n")


def test_arithmetic_with_a_symbol_is_a_symbol():
    assert (n + 1, 1 + n, n - 1, 5 - n, n * 2, 2 * n, n // 2) == (
        Symbol("(n+1)"), Symbol("(n+1)"), Symbol("(n-1)"), Symbol("(5-n)"), Symbol("(n*2)"),
        Symbol("(n*2)"), Symbol("(n//2)"),
    )  # fmt: skip


def test_neutral_elements_vanish():
    assert (n + 0, 0 + n, n - 0, n * 1, 1 * n, n // 1) == (n,) * 6
    assert (n - n, n * 0, n // n) == (0, 0, 1)


def test_numbers_come_together():
    m = Symbol("m")
    assert (n + 1 - 1, n - 3 + 1, n + m + 2 - 2, (n + 4) - (n + 1)) == (n, n - 2, n + m, 3)
    assert (n * 4 * 2, n * 8 // 4, n * 8 // 8, 2 * (n * m) * 3) == (n * 8, n * 2, n, n * m * 6)


def test_other_expressions_stay_as_they_are():
    odd = Symbol("(a+1)-(b+1)")
    assert (n * 3 // 2, odd + 1, (n + 1) * 2) == (
        Symbol("((n*3)//2)"), Symbol("((a+1)-(b+1)+1)"), Symbol("((n+1)*2)"),
    )  # fmt: skip


def test_static_names_the_open_lengths():
    assert static((1, 2)) == (1, 2)
    assert (is_static((1, 2)), is_static((1, n))) == (True, False)
    with pytest.raises(ValueError, match="open dimensions: n, m"):
        static((n, 1, Symbol("m")))


def test_size_is_the_product():
    assert (size((2, 3)), size(()), size((n,)), size((n, 4))) == (6, 1, n, Symbol("(n*4)"))


def test_broadcast_stretches_ones():
    assert broadcast((2, 1, n), (3, 1), ()) == (2, 3, n)


def test_broadcast_names_the_pair():
    with pytest.raises(ValueError, match="lengths 2 and 3 do not broadcast"):
        broadcast((2,), (3,))
    with pytest.raises(ValueError, match="lengths n and 3 do not broadcast"):
        broadcast((n,), (3,))


def test_bind_replaces_plain_symbols():
    assert bind((n, 3, Symbol("m")), {"n": 7}) == (7, 3, Symbol("m"))


def test_show_separates_by_commas():
    assert show((1, n)) == "1, n"
