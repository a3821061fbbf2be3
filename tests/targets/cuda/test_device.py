"""Every name of the device header gives numpy's values in the emulator."""

import ctypes
from itertools import product

import numpy as np
import pytest

from qcompile.targets.cuda.emulator import Emulator, emulator_library
from tests.targets.cuda import fragments
from tests.targets.cuda.device_functions import EXPRESSIONS, TYPES, F, expression_kernel
from tests.targets.cuda.device_kernels import (
    LOADS,
    PRODUCT_CASES,
    PRODUCTS,
    SIGNS,
    TABLES,
    VECTORS,
    product_kernel,
    product_name,
)


@pytest.fixture(scope="module")
def library(emulator_cache):
    sources = {case.name: expression_kernel(case) for case in EXPRESSIONS}
    sources |= {product_name(*case): product_kernel(*case) for case in PRODUCT_CASES}
    sources |= {f"ldmatrix_{n}": text for n, text in LOADS.items()}
    sources |= {"vectors": VECTORS, "tables": TABLES}
    joined = "\n".join(f"{text}\nQC_KERNEL({name})" for name, text in sources.items())
    return emulator_library({"all": joined}, cache=emulator_cache)


@pytest.fixture(scope="module")
def emulator(library):
    return Emulator(library)


@pytest.fixture
def by_definition(library, emulator):
    """Products without the processor's vector instructions."""
    settings = ctypes.CDLL(str(library))
    settings.qcemu_set_vectors(0)
    yield emulator
    settings.qcemu_set_vectors(1)


def run(emulator, name, *arrays, shared=0, order=0):
    return emulator.launch(name, grid=(1,), block=(32,), shared=shared, arrays=arrays, order=order)


EXTREMES = np.array(
    [0, 0x80808080, 0x7F7F7F7F, 0xFFFFFFFF, 0x88888888, 0x77777777, 0x80000000, 0x7FFFFFFF],
    np.uint32,
)


def words(rng, *shape):
    """Random bits, with a fifth of the words at the ends of the types."""
    random = rng.integers(0, 2**32, shape, np.uint32)
    return np.where(rng.random(shape) < 0.2, rng.choice(EXTREMES, shape), random)


@pytest.mark.parametrize(("name", "sign", "tile"), PRODUCT_CASES)
def test_a_product_is_numpys(emulator, name, sign, tile):
    check_product(emulator, name, sign, tile)


@pytest.mark.parametrize(("name", "sign", "tile"), PRODUCT_CASES)
def test_a_product_by_its_definition_is_numpys(by_definition, name, sign, tile):
    check_product(by_definition, name, sign, tile)


def check_product(emulator, name, sign, tile):
    groups, halves, bits = PRODUCTS[name]
    rng = np.random.default_rng(3)
    a = words(rng, 32, tile[0], groups, halves)
    b = words(rng, 32, tile[1], groups)
    c = words(rng, 32, tile[0], tile[1], halves, 2).view(np.int32)
    got = c.copy()
    run(emulator, product_name(name, sign, tile), a, b, got)
    np.testing.assert_array_equal(got, expected_product(a, b, c, bits, SIGNS[sign]))


def expected_product(a, b, c, bits, unsigned):
    """The registers of C after the product, fragment by fragment."""
    result = c.copy()
    for i, j in product(range(a.shape[1]), range(b.shape[1])):
        left = fragments.rows(np.ascontiguousarray(a[:, i]), bits, unsigned)
        right = fragments.columns(np.ascontiguousarray(b[:, j]), bits)
        whole = fragments.wrapped(
            fragments.sums(np.ascontiguousarray(c[:, i, j])).astype(np.int64) + left @ right
        )
        halves = c.shape[3]
        result[:, i, j] = (
            whole.reshape(halves, 8, 4, 2).transpose(1, 2, 0, 3).reshape(32, halves, 2)
        )
    return result


@pytest.mark.parametrize("case", EXPRESSIONS, ids=lambda case: case.name)
def test_a_function_is_numpys(emulator, case):
    rng = np.random.default_rng(5)
    kind = TYPES[case.kind]
    a, b = (words(rng, 32).view(kind) for _ in range(2))
    a[:8], b[:4] = special(case.kind), special(case.kind)[4:]
    out = np.zeros(32, TYPES[case.result])
    run(emulator, case.name, a, b, out)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(out, case.value(a, b))


def special(kind):
    if kind == F:
        return np.array([0.5, 1.5, -2.5, np.nan, np.inf, -np.inf, -0.0, 3e9], np.float32)
    return EXTREMES.view(TYPES[kind])


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("order", range(4))
def test_ldmatrix_deals_rows_to_lanes(emulator, count, order):
    rng = np.random.default_rng(7)
    memory = rng.integers(0, 2**32, (64, 4), np.uint32)
    rows = rng.integers(0, 64, 32).astype(np.int32)
    out = np.zeros((32, count), np.uint32)
    run(emulator, f"ldmatrix_{count}", memory, rows, out, shared=1024, order=order)
    lane = np.arange(32)[:, None]
    matrix = np.arange(count)[None, :]
    expected = memory[rows[8 * matrix + lane // 4], lane % 4]
    np.testing.assert_array_equal(out, expected)


def test_vectors_go_through_shared_memory_unchanged(emulator):
    given = np.random.default_rng(9).integers(0, 256, (32, 32)).astype(np.uint8)
    left = np.zeros_like(given)
    run(emulator, "vectors", given, left, shared=896)
    np.testing.assert_array_equal(left[:, :28], given[:, :28])


def test_a_constant_table_can_be_read(emulator):
    out = np.zeros(32, np.int32)
    run(emulator, "tables", out)
    np.testing.assert_array_equal(out, [0, 1, 4, 9] * 8)
