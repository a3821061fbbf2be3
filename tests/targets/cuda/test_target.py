"""GPU targets from the graph to the artifact: the same bits on every chip, clear refusals."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import qcompile
from qcompile.artifact import Artifact, open_artifact
from qcompile.cli.guard import run as command
from qcompile.errors import ArtifactError
from qcompile.ir.dims import static
from qcompile.program.graph_file import read_graph
from qcompile.targets.cuda.devices import T4
from qcompile.targets.cuda.driver import found_device
from qcompile.targets.cuda.emulator import found_compiler
from qcompile.targets.cuda.target import emulator
from qcompile.targets.reference.target import Interpreter
from tests.strategies import random_graph

ROOT = Path(__file__).parents[3]
RESNET20 = str(ROOT / "models" / "resnet20_fashion.onnx")
EMULATED = pytest.mark.skipif(found_device(), reason="a GPU is here: the emulator is not used")
Sample = dict[str, np.ndarray]


def samples(artifact: Artifact, count: int) -> list[Sample]:
    rng = np.random.default_rng(5)
    inputs = read_graph(artifact.folder).inputs
    return [
        {n.name: rng.standard_normal(static(n.type.shape)).astype(np.float32) for n in inputs}
        for _ in range(count)
    ]


def assert_like_the_interpreter(artifact: Artifact, *, count: int) -> None:
    interpreter = Interpreter(read_graph(artifact.folder))
    for sample in samples(artifact, count):
        wanted, found = interpreter.run_raw(sample), artifact.runtime.run_raw(sample)
        assert {name: value.tobytes() for name, value in found.items()} == {
            name: value.tobytes() for name, value in wanted.items()
        }


@pytest.fixture(scope="module")
def int4(tmp_path_factory) -> Artifact:
    folder = tmp_path_factory.mktemp("t4") / "resnet20"
    return qcompile.compile(RESNET20, target="t4-int4", output=folder)


def test_resnet20_in_4_bits(int4):
    assert int4.summary["verified"]
    assert int4.summary["integer_only"]
    assert_like_the_interpreter(int4, count=3)


def test_four_bit_weights_take_half_a_byte(int4):
    assert int4.summary["size"]["weight_bytes"] < 0.52 * 274_000


def test_a_trace_shows_what_each_kernel_wrote(int4):
    (sample,) = samples(int4, 1)
    known = dict(Interpreter(read_graph(int4.folder)).trace(sample))
    traced = dict(int4.runtime.trace(sample))
    assert len(traced) > 20
    assert any(name.endswith(".u4") for name in traced)
    assert all(np.array_equal(value, known[name]) for name, value in traced.items())


def test_predicted_latency_and_memory_are_told(int4):
    assert 0 < int4.summary["latency"]["predicted_ms"] < 10
    assert int4.summary["size"]["activation_peak_bytes"] > 0


def test_the_same_input_gives_the_same_bytes(int4, tmp_path):
    again = qcompile.compile(
        RESNET20, target="t4-int4", output=tmp_path / "again", threads=1, verify=False
    )
    assert again.digest == int4.digest


@EMULATED
def test_run_says_that_it_was_emulated(int4, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1, 28, 28), np.float32))
    source, place = str(tmp_path / "x.npz"), str(tmp_path / "y.npz")
    assert command(["run", str(int4.folder), "--input", source, "-o", place]) == 0
    assert "emulator" in capsys.readouterr().out


@EMULATED
def test_the_emulators_time_is_not_shown_as_speed(int4, capsys):
    assert command(["bench", str(int4.folder)]) == 2
    assert "says nothing about t4-int4" in capsys.readouterr().err


CHIPS = [
    "t4-int4", "t4-int8", "a10-int4", "a100-int4", "orin-int4", "l4-int4", "h100-int8",
]  # fmt: skip


@pytest.mark.parametrize("target", CHIPS)
def test_every_chip_computes_the_same(tmp_path, target):
    artifact = qcompile.compile(random_graph(11), target=target, output=tmp_path / target)
    assert_like_the_interpreter(artifact, count=4)


@pytest.mark.slow
@pytest.mark.parametrize("target", CHIPS)
@pytest.mark.parametrize("seed", range(20, 30))
def test_random_networks(tmp_path, target, seed):
    artifact = qcompile.compile(random_graph(seed), target=target, output=tmp_path / "it")
    assert_like_the_interpreter(artifact, count=5)


def test_an_orin_artifact_has_a_library_for_its_processor(tmp_path):
    if not shutil.which("aarch64-linux-gnu-gcc"):
        pytest.skip("no aarch64-linux-gnu-gcc here: no library for 64-bit ARM is built")
    qcompile.compile(random_graph(11), target="orin-int8", output=tmp_path / "it", verify=False)
    library = (tmp_path / "it" / "libqcrt-aarch64.so").read_bytes()
    assert int.from_bytes(library[18:20], "little") == 183


# refusals


def test_hopper_refuses_4_bits_and_names_the_alternative(tmp_path, capsys):
    place = str(tmp_path / "it")
    assert command([RESNET20, "--target", "h100-int4", "-o", place]) == 2
    said = capsys.readouterr().err
    assert "h100-int8" in said
    assert "--allow-emulated" in said
    assert not Path(place).exists()


def test_hopper_takes_4_bits_when_emulation_is_allowed(tmp_path):
    artifact = qcompile.compile(
        random_graph(3), target="h100-int4", output=tmp_path / "it", allow_emulated=True
    )
    assert_like_the_interpreter(artifact, count=2)


@pytest.mark.parametrize(
    ("target", "near"), [("t4-int2", "t4-int"), ("t5-int4", "t4-int4"), ("l4-fp8", "not yet built")]
)
def test_targets_that_do_not_exist(tmp_path, capsys, target, near):
    assert command([RESNET20, "--target", target, "-o", str(tmp_path / "it")]) == 2
    assert near in capsys.readouterr().err


# damage


@pytest.fixture
def copied(int4, tmp_path) -> Path:
    return Path(shutil.copytree(int4.folder, tmp_path / "copy"))


@pytest.mark.parametrize("name", ["plan.bin", "weights.bin", "kernels-sm_75.bin"])
def test_a_damaged_file_is_named(copied, capsys, name):
    path = copied / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    assert command(["verify", str(copied)]) == 3
    assert name in capsys.readouterr().err


@pytest.mark.parametrize("name", ["plan.bin", "weights.bin", "kernels-sm_75.bin", "libqcrt.so"])
def test_a_missing_file_is_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(ArtifactError, match=re.escape(name)):
        open_artifact(copied).runtime.run({"x": np.zeros((1, 1, 28, 28), np.float32)})


def test_an_input_of_the_wrong_size(int4, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1, 28, 27), np.float32))
    call = ["run", str(int4.folder), "--input", str(tmp_path / "x.npz"), "-o", str(tmp_path / "y")]
    assert command(call) == 2
    assert "28" in capsys.readouterr().err


@EMULATED
def test_the_c_program_runs_on_the_emulator(int4, tmp_path):
    program, driver = tmp_path / "main", emulator(int4.folder, T4, threads=2)
    parts = [str(int4.folder / name) for name in ("main.c", "qcrt.c")]
    subprocess.run(["cc", "-O2", *parts, "-ldl", "-o", str(program)], check=True)
    (sample,) = samples(int4, 1)
    (tmp_path / "x.raw").write_bytes(sample["x"].tobytes())
    done = subprocess.run(
        [program, "-o", "out.raw", int4.folder, "x.raw"], cwd=tmp_path, check=True,
        capture_output=True, text=True, env={"QC_DRIVER": str(driver)},
    )  # fmt: skip
    wanted = int4.runtime.run(sample)["logits"]
    assert (tmp_path / "out.raw").read_bytes() == wanted.tobytes()
    assert "emulator" in done.stdout


@EMULATED
def test_the_c_program_without_a_driver_says_so(int4, tmp_path):
    program = tmp_path / "main"
    parts = [str(int4.folder / name) for name in ("main.c", "qcrt.c")]
    subprocess.run(["cc", "-O2", *parts, "-ldl", "-o", str(program)], check=True)
    done = subprocess.run([program, int4.folder], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "libcuda.so.1" in done.stderr


def test_targets_tell_native_from_emulated(capsys):
    assert command(["targets", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["targets"]}
    assert "native" in rows["t4-int4"]["instructions"].values()
    assert "emulated" in rows["h100-int4"]["instructions"].values()


def test_a_compiler_for_the_emulator_is_found():
    assert found_compiler() is not None
