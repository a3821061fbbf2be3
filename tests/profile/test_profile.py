"""Measuring: every kernel has a row, a table predicts the program that it was taken from."""

import pytest

from qcompile.errors import TargetError, UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.source import Input
from qcompile.ir.types import U8, f32
from qcompile.ir.unit import per_tensor
from qcompile.options import Options
from qcompile.profile.clock import clock
from qcompile.profile.device import device_of
from qcompile.profile.lookup import Lookup, wanted_table
from qcompile.profile.profile import Request, measured, profile
from qcompile.profile.shapes import STAGES, spread
from qcompile.profile.table import write_table
from qcompile.progress import silent
from qcompile.targets import target
from qcompile.targets.cuda.driver import found_device
from qcompile.targets.cuda.nvrtc import installed
from qcompile.targets.tvm.emulated import is_foreign
from qcompile.targets.tvm.isa import AVX512_VNNI, NEON_DOT
from tests.targets.tvm.checks import graph_of, narrowed, weights

X86 = target("x86-int8")
NATIVE = pytest.mark.skipif(is_foreign(AVX512_VNNI), reason="another processor")


def network() -> Graph:
    x = Quantize(Input(f32(1, 3, 12, 12), name="picture"), U8, per_tensor(0.03, 120), name="q")
    first = narrowed(Conv(x, weights(24, 3, 3, 3), pads=(1, 1, 1, 1), name="a"))
    second = narrowed(Conv(first, weights(24, 24, 3, 3), pads=(1, 1, 1, 1), name="b"))
    third = narrowed(Conv(second, weights(24, 24, 3, 3), pads=(1, 1, 1, 1), name="c"))
    return graph_of(Dequantize(third, name="real"))


@pytest.fixture(scope="module")
def table():
    request = Request("x86-int8", threads=1, rounds=2)
    return measured(X86, [network(), network()], request, "here", silent)


@NATIVE
def test_every_kernel_that_a_run_takes_has_a_row(table):
    steps = X86.outline(network()).steps
    assert {row.kernel for row in table.rows} == {s.kernel.name for s in steps if s.taken}


@NATIVE
def test_the_table_predicts_its_own_program_without_guessing(table):
    found = Lookup(table).predict(X86.outline(network()).steps)
    assert found.interpolated == ()
    assert found.milliseconds > table.call


@NATIVE
def test_the_table_says_what_it_holds_for(table):
    assert (table.target, table.device, table.threads, table.rounds) == ("x86-int8", "here", 1, 2)
    assert not table.emulated
    assert all(row.milliseconds > 0 and row.spread >= 0 for row in table.rows)


@pytest.mark.skipif(not is_foreign(NEON_DOT), reason="it runs here")
def test_a_target_that_does_not_run_here_names_what_is_missing(tmp_path):
    with pytest.raises(UsageError, match=r"no device for it.*ARM"):
        profile(Request("arm64-int8", output=tmp_path / "table.json"))
    assert not (tmp_path / "table.json").exists()


@pytest.mark.skipif(device_of(target("t4-int8")) != "", reason="a T4 is here")
def test_a_gpu_that_is_not_here_is_named():
    with pytest.raises(UsageError, match=r"no device for it.*NVIDIA T4"):
        profile(Request("t4-int8"))


def test_kernels_of_others_are_not_timed():
    with pytest.raises(TargetError, match="onnxruntime"):
        profile(Request("onnx-int"))


def test_the_spread_has_every_size():
    nodes = spread().nodes
    windows = {node.w.type.shape[0] for node in nodes if isinstance(node, Conv)}
    assert set(STAGES) < windows
    sides = {node.type.shape[-1] for node in nodes if isinstance(node, Conv)}
    assert sides == {56, 28, 14, 7, 4}


def test_a_clock_that_the_system_tells(tmp_path):
    (tmp_path / "cpuinfo").write_text("cpu MHz\t\t: 2600.4\ncpu MHz\t\t: 3100.0\n")
    (tmp_path / "scaling_governor").write_text("performance\n")
    (tmp_path / "cpuinfo_max_freq").write_text("3400000\n")
    found = clock(tmp_path / "cpuinfo", tmp_path)
    assert found == "3100 MHz by /proc/cpuinfo, at most 3400 MHz, governor performance"


def test_a_clock_that_it_does_not_tell(tmp_path):
    assert clock(tmp_path / "none", tmp_path / "none").startswith("unknown")


@pytest.mark.slow
@pytest.mark.skipif(found_device(), reason="a GPU is here: the emulator is not used")
def test_times_of_an_emulated_gpu_are_marked_and_refused(tmp_path):
    installed()
    place = target("t4-int8")
    table = measured(place, [network()], Request("t4-int8", rounds=1), "emulated", silent)
    assert table.emulated
    assert {row.kernel for row in table.rows} == {
        step.kernel.name for step in place.outline(network()).steps if step.taken
    }
    write_table(tmp_path / "table.json", table)
    options = Options("t4-int8", latency_table=tmp_path / "table.json", threads=1)
    with pytest.raises(UsageError, match="on an emulator"):
        wanted_table(options)
