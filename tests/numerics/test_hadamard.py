from functools import reduce

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qcompile.numerics.hadamard import (
    additions,
    block_size,
    constructible,
    construction,
    factored,
    fast_hadamard,
    hadamard,
    kronecker_factors,
)
from qcompile.numerics.hadamard_paley import has_paley_one, has_paley_two
from qcompile.numerics.hadamard_williamson import (
    ROWS,
    has_williamson,
    over_t_matrices,
    t_matrices,
    williamson,
)

PALEY_ONE = (
    12, 20, 24, 28, 44, 60, 68, 84, 108, 132, 140, 164, 180, 212, 228, 244, 252, 284, 420, 684
)  # fmt: skip
PALEY_TWO = (36, 52, 76, 100, 124, 148, 180, 196, 204, 220, 276, 300, 924)
WILLIAMSON = (92, 116, 172)
T_MATRICES = (156, 260)
OTHERS = (1, 2, 4, 8, 16, 40, 64, 144, 240, 400)
UNKNOWN = (
    188, 236, 268, 292, 356, 372, 376, 404, 412, 428, 436, 452, 472, 508, 532, 536, 584, 596, 604,
    652, 668, 712, 716, 732, 764, 772, 808, 836, 852, 856, 872, 876, 892, 904, 932, 940, 944, 956,
    964, 980, 988, 996,
)  # fmt: skip
MODELS = {
    768: (12, 6), 5120: (20, 8), 12288: (12, 10), 14336: (28, 9), 6656: (52, 7), 6400: (100, 6),
    9728: (76, 7), 8960: (140, 6), 27648: (108, 8), 18944: (148, 7), 19968: (156, 7),
    22016: (172, 7), 29568: (924, 5), 10944: (684, 4), 4096: (1, 12),
}  # fmt: skip
ORDERS = (*PALEY_ONE, *PALEY_TWO, *WILLIAMSON, *T_MATRICES, *OTHERS)


def of_order(n: int) -> NDArray[np.int8]:
    """H of an order that has one."""
    found = hadamard(n)
    assert found is not None
    return found


def assert_hadamard(h, n: int) -> None:
    assert set(np.unique(h)) <= {-1, 1}
    wide = h.astype(np.float64)  # sums of up to 2^53 are exact
    np.testing.assert_array_equal(wide @ wide.T, n * np.eye(n))


@pytest.mark.parametrize("n", sorted(set(ORDERS)))
def test_rows_are_orthogonal_signs(n):
    assert of_order(n).dtype == np.int8
    assert_hadamard(of_order(n), n)


@pytest.mark.parametrize("m", ROWS)
def test_every_row_of_the_table_is_williamson_s(m):
    assert_hadamard(williamson(4 * m), 4 * m)


@pytest.mark.parametrize("n", [156, 260, 396, 884, 924, 1716])
def test_every_pair_gives_t_matrices(n):
    assert_hadamard(t_matrices(n), n)


@pytest.mark.parametrize("n", PALEY_ONE)
def test_first_construction_of_paley_serves(n):
    assert has_paley_one(n)


@pytest.mark.parametrize("n", PALEY_TWO)
def test_second_construction_of_paley_serves(n):
    assert has_paley_two(n)


@pytest.mark.parametrize("n", WILLIAMSON)
def test_only_williamson_serves(n):
    assert has_williamson(n)
    assert not has_paley_one(n)
    assert not has_paley_two(n)


@pytest.mark.parametrize("n", T_MATRICES)
def test_only_t_matrices_serve(n):
    assert over_t_matrices(n) is not None
    assert not any(known(n) for known in (has_paley_one, has_paley_two, has_williamson))


def test_orders_below_1000_that_stay_unknown_are_these():
    found = tuple(n for n in range(4, 1001, 4) if not constructible(n))
    assert found == UNKNOWN


@pytest.mark.parametrize("n", [0, 3, 6, 214, 428, 107 << 7, 107 << 8])
def test_an_order_without_a_construction_gives_none(n):
    assert hadamard(n) is None


@pytest.mark.parametrize("n", MODELS)
def test_widths_of_models_have_small_cores(n):
    assert factored(n) == MODELS[n]


@pytest.mark.parametrize("n", [2, 8, 64, 512])
def test_powers_of_two_are_those_of_scipy(n):
    np.testing.assert_array_equal(hadamard(n), scipy.linalg.hadamard(n))


@pytest.mark.parametrize("n", [48, 80, 144, 240, 448])
def test_a_matrix_is_its_core_times_sylvester(n):
    found = factored(n)
    assert found is not None
    core, k = found
    wanted = np.kron(of_order(core), scipy.linalg.hadamard(1 << k))
    np.testing.assert_array_equal(hadamard(n), wanted)


@pytest.mark.parametrize(
    ("n", "wanted"),
    [
        (16, (16,)), (64, (4, 16)), (4096, (8, 8, 4, 16)), (12, (12,)), (344, (344,)),
        (768, (12, 4, 16)), (14336, (28, 8, 4, 16)), (512, (8, 4, 16)),
    ],
)  # fmt: skip
def test_factors_of_a_matrix_are_short(n, wanted):
    assert kronecker_factors(n) == wanted


@pytest.mark.parametrize("n", [8, 64, 192, 512, 28 * 64])
def test_a_matrix_is_the_product_of_its_factors(n):
    found = reduce(np.kron, map(of_order, kronecker_factors(n)))
    np.testing.assert_array_equal(found, hadamard(n))


@pytest.mark.parametrize(
    ("n", "wanted"),
    [(48, 48), (4096, 4096), (13696, 128), (27392, 256), (24 * 3, 72), (11, 1), (188, 4), (6, 2)],
)
def test_blocks_are_the_largest_that_are_known(n, wanted):
    assert block_size(n) == wanted


@pytest.mark.parametrize(("n", "wanted"), [(64, 64 * 6), (12, 144), (14336, 14336 * 37)])
def test_additions_of_a_fast_transform(n, wanted):
    assert additions(n) == wanted


@given(
    n=st.sampled_from([1, 2, 4, 12, 16, 36, 40, 48, 64, 92, 144, 156, 240]),
    before=st.integers(0, 3),
    after=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_fast_transform_is_the_product_in_integers(n, before, after, seed):
    x = np.random.default_rng(seed).integers(-(1 << 40), 1 << 40, (before, n, after))
    wanted = np.einsum("anb,nm->amb", x, of_order(n).astype(np.int64))
    np.testing.assert_array_equal(fast_hadamard(x, axis=1), wanted)


@given(n=st.sampled_from([8, 20, 48, 156]), seed=st.integers(0, 99))
def test_fast_transform_keeps_lengths(n, seed):
    x = np.random.default_rng(seed).standard_normal((5, n))
    turned = fast_hadamard(x)
    np.testing.assert_allclose(turned, x @ of_order(n), atol=1e-11)
    np.testing.assert_allclose((turned**2).sum(1), n * (x**2).sum(1), rtol=1e-12)


@given(k=st.integers(0, 8), seed=st.integers(0, 99))
def test_twice_a_power_of_two_is_n_times_the_input(k, seed):
    x = np.random.default_rng(seed).integers(-128, 128, (3, 1 << k)).astype(np.int8)
    np.testing.assert_array_equal(fast_hadamard(fast_hadamard(x)), x.astype(np.int64) << k)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floats_keep_their_format(kind):
    assert fast_hadamard(np.ones((2, 12), kind)).dtype == kind


def test_an_unknown_order_names_a_block():
    with pytest.raises(ValueError, match="order 428 is known: use blocks of 4"):
        fast_hadamard(np.ones((1, 428)))


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (1, "Sylvester of 1"),
        (64, "Sylvester of 64"),
        (12, "Paley I of 12"),
        (96, "Paley I of 12 x Sylvester of 8"),
        (36, "Paley II of 36"),
        (92, "Williamson of 92"),
    ],
)
def test_how_a_matrix_is_made_is_told(order: int, words: str):
    assert construction(order) == words


def test_an_order_that_is_unknown_has_no_construction():
    with pytest.raises(ValueError, match="no Hadamard matrix of order 6 is known"):
        construction(6)
