"""Times of steps: a kernel's own, those of its shape, else guessed and said so."""

from dataclasses import replace

import pytest

from qcompile.errors import UsageError
from qcompile.options import Options
from qcompile.profile.lookup import Lookup, wanted_table
from qcompile.profile.table import LatencyTable, Row, write_table
from qcompile.targets.steps import Kernel, ProgramStep

WORK = [Row(f"dot_{n}_aa", "dot 1", 1000 * n, 100 * n, 0.001 * n, 0.0) for n in (1, 2, 4, 8, 16)]
TABLE = LatencyTable(
    target="x86-int8", device="some processor", threads=1, date="2025-01-31", clock="unknown",
    qcompile="0.1.0", rounds=7, call=0.5, emulated=False,
    rows=(*WORK, *(Row(f"map_3_{c}", "map", 3, 12, t, 0.0) for c, t in (("b", 0.25), ("c", 0.75)))),
)  # fmt: skip
LOOKUP = Lookup(TABLE)


def step(kernel, *, taken=True):
    return ProgramStep("n", "n", kernel, taken=taken, milliseconds=None, alive={})


def dot(n, digest="zz"):
    return step(Kernel(f"dot_{n}_{digest}", "dot 1", round(1000 * n), round(100 * n)))


def test_a_kernel_s_own_time():
    assert LOOKUP(dot(4, "aa")) == 0.004


def test_kernels_that_differ_in_constants_have_the_mean_of_their_shape():
    assert LOOKUP(step(Kernel("map_3_dd", "map", 3, 12))) == 0.5


def test_times_in_between_are_interpolated():
    assert LOOKUP(dot(3)) == pytest.approx(0.003, rel=1e-6)
    assert LOOKUP(dot(32)) == pytest.approx(0.032, rel=1e-6)


def test_interpolated_times_grow_with_the_work():
    times = [LOOKUP(dot(n)) for n in (1.5, 3, 5, 9, 20)]
    assert times == sorted(times)


def test_times_that_are_overhead_alone_are_not_scaled():
    flat = tuple(replace(row, milliseconds=0.02) for row in WORK)
    assert Lookup(replace(TABLE, rows=flat))(dot(30)) == pytest.approx(0.02)


def test_a_run_is_its_call_and_the_steps_that_it_takes():
    skipped = replace(dot(8, "aa"), taken=False)
    found = LOOKUP.predict([dot(1, "aa"), dot(2, "aa"), skipped])
    assert found.milliseconds == pytest.approx(0.503)
    assert (found.kernels, found.interpolated) == (2, ())


def test_interpolated_kernels_are_listed():
    found = LOOKUP.predict([dot(1, "aa"), dot(3), step(Kernel("map_3_dd", "map", 3, 12))])
    assert found.interpolated == ("dot_3_zz",)


def test_a_sort_of_loops_that_was_never_measured_is_refused():
    with pytest.raises(UsageError, match=r"no kernel of the sort 'max 2', as max_7_ee is"):
        LOOKUP(step(Kernel("max_7_ee", "max 2", 7, 7)))


def test_without_a_table_there_is_none():
    assert wanted_table(Options("x86-int8")) is None


def test_a_table_of_another_processor_is_refused(tmp_path):
    write_table(tmp_path / "table.json", TABLE)
    options = Options("x86-int8", latency_table=tmp_path / "table.json", threads=1)
    with pytest.raises(UsageError, match="measured on some processor"):
        wanted_table(options)
