"""Functions of whole registers, against float64."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import special  # pyright: ignore[reportMissingTypeStubs]  it has none

from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.source import Input
from qcompile.ir.types import Array, f32
from qcompile.targets.tvm.isa import Isa
from tests.targets.tvm.checks import BEST, every_isa, graph_of, opened

CASES = [
    (p.Exp, np.exp, (-87.3, 88.7), 2),
    (p.Log, np.log, (1e-38, 3e38), 2),
    (p.Tanh, np.tanh, (-12.0, 12.0), 2),
    (p.Erf, special.erf, (-6.0, 6.0), 2),
]


def found(kind: type[p.Unary], x: Array, isa: Isa, folder: Path) -> Array:
    """The library's values."""
    graph = graph_of(kind(Input(f32(*x.shape), name="x")))
    with opened(graph, folder, isa) as library:
        (value,) = library.run([x])
    return value


def eighteen(values: list[float]) -> Array:
    """The values again and again: a register and more."""
    return np.resize(np.array(values, np.float32), 18)


def spread(low: float, high: float, *, count: int) -> Array:
    """Numbers over the range: some evenly, some as floats lie."""
    rng = np.random.default_rng(0)
    even = rng.uniform(low, high, count)
    reach = max(-low, high)
    fine = np.exp2(rng.uniform(-126, np.log2(reach), count)) * np.where(
        low < 0, rng.choice([-1, 1], count), 1
    )
    near = 1 + rng.uniform(-0.01, 0.01, count)
    every = np.concatenate([even, np.clip(fine, low, high), near])
    return every.astype(np.float32)


@every_isa
@pytest.mark.parametrize(
    ("kind", "law", "ends", "units"), CASES, ids=lambda v: getattr(v, "__name__", "")
)
def test_functions_are_within_units_of_the_last_place(
    kind: type[p.Unary], law: Callable[[Array], Array], ends: tuple[float, float], units: float,
    isa: Isa, tmp_path: Path,
):  # fmt: skip
    x = spread(*ends, count=20000)
    wanted = law(x.astype(np.float64))
    unit = np.spacing(np.abs(wanted).astype(np.float32)).astype(np.float64)
    error = np.abs(found(kind, x, isa, tmp_path).astype(np.float64) - wanted) / unit
    assert error.max() <= units


@pytest.mark.parametrize(
    ("kind", "x", "wanted"),
    [
        (p.Exp, [-np.inf, -200.0, 0.0, 89.0, np.inf, np.nan], [0, 0, 1, np.inf, np.inf, np.nan]),
        (p.Log, [-1.0, 0.0, 1.0, np.inf, np.nan], [np.nan, -np.inf, 0, np.inf, np.nan]),
        (p.Tanh, [-np.inf, -20.0, 0.0, 20.0, np.inf, np.nan], [-1, -1, 0, 1, 1, np.nan]),
        (p.Erf, [-np.inf, -20.0, 0.0, 20.0, np.inf, np.nan], [-1, -1, 0, 1, 1, np.nan]),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)  # fmt: skip
@every_isa
def test_functions_at_their_ends(
    kind: type[p.Unary], x: list[float], wanted: list[float], isa: Isa, tmp_path: Path
):
    value = found(kind, eighteen(x), isa, tmp_path)
    np.testing.assert_array_equal(value, eighteen(wanted))


def test_small_numbers_keep_their_digits(tmp_path: Path):
    x = eighteen([1e-45, 1e-40, 3e-39, 2e-38])
    np.testing.assert_allclose(found(p.Log, x, BEST, tmp_path), np.log(x), rtol=3e-7)
