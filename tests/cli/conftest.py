"""A small network, its samples and its artifact; and the command line as a function."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from qcompile.cli.guard import run


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The one line that says what is wrong."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return line

    def refused(self, *words: str) -> bool:
        """Exit code 2, one message with all the words, no traceback, nothing on stdout."""
        return (
            self.code == 2
            and "Traceback" not in self.err
            and self.out == ""
            and all(word in self.message for word in words)
        )


Command = Callable[..., Ended]


@pytest.fixture
def qcompile(capsys, tmp_path, monkeypatch) -> Command:
    """`qcompile ARGUMENTS`, in an empty folder."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def command(*arguments: object) -> Ended:
        capsys.readouterr()
        code = run([str(a) for a in arguments])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return command


def network(batch: int | str = 1) -> onnx.ModelProto:
    """conv, relu, mean, product: enough to have every kind of step."""
    source = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(source.standard_normal(shape, np.float32), name)

    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["r"], name="relu"),
            helper.make_node("GlobalAveragePool", ["r"], ["g"], name="mean"),
            helper.make_node("Flatten", ["g"], ["f"], name="flat"),
            helper.make_node("MatMul", ["f", "m"], ["y"], name="head"),
        ],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 4])],
        [weight("w", 6, 3, 3, 3), weight("b", 6), weight("m", 6, 4)],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="session")
def model(folder) -> Path:
    path = folder / "small.onnx"
    onnx.save(network(), path)
    return path


@pytest.fixture(scope="session")
def calib(folder) -> Path:
    path = folder / "calib.npz"
    np.savez(path, x=np.random.default_rng(1).standard_normal((9, 3, 8, 8), np.float32))
    return path


@pytest.fixture(scope="session")
def built(folder, model, calib) -> Path:
    """An artifact of the reference target. Do not write into it."""
    path = folder / "built"
    command = [model, "--target", "reference", "--calib", calib, "-o", path, "--quiet"]
    assert run([str(a) for a in command]) == 0
    return path
