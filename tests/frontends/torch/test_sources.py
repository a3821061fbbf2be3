"""Where a program comes from: a file, a callable, a module; and what goes wrong there."""

from pathlib import Path
from typing import Any

import pytest
import torch
from comparing import Function, agree, noise
from torch import nn
from torch.export import ExportedProgram

from qcompile.errors import BadModel, QcompileError, ReadError, UsageError
from qcompile.frontends.torch_export import read_torch

_MODULE = """
import torch
from torch import nn

def build(): return nn.Sequential(nn.Linear(4, 3), nn.ReLU())
def number(): return 7
def wants(width): return nn.Linear(width, width)
def fails(): raise RuntimeError("no weights here\\nand more")
class Odd(nn.Module):
    def forward(self, x): return x @ x
made = nn.Linear(4, 2)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with a module that has examples, and one that has none."""
    monkeypatch.chdir(tmp_path)
    examples = "def example_inputs(): return (torch.ones(2, 4),)\n"
    (tmp_path / "some_nets.py").write_text(_MODULE + examples)
    (tmp_path / "bare_nets.py").write_text(_MODULE)
    (tmp_path / "broken_nets.py").write_text("import a_module_that_is_missing\n")
    return tmp_path


def saved(path: Path) -> nn.Module:
    """A small network, and its program in a file."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    torch.export.save(torch.export.export(net, (noise(1, 3, 6, 6),)), path)
    return net


def test_file_round_trip(folder: Path) -> None:
    net = saved(folder / "net.pt2")
    graph = read_torch("net.pt2")
    assert graph.name == "net"
    assert [node.op for node in graph.nodes if node.op != "const"] == [
        "input",
        "conv",
        "batch_norm",
        "relu",
    ]
    agree(graph, net, noise(1, 3, 6, 6, seed=1))


def core(net: nn.Module, x: torch.Tensor) -> ExportedProgram:
    """The program in core operators: addmm, convolution, native_layer_norm …"""
    program: Any = torch.export.export(net, (x,))
    return program.run_decompositions()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_file_of_core_operators(folder: Path) -> None:
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    torch.export.save(core(net, noise(1, 3, 8)), folder / "core.pt2")
    agree(read_torch(folder / "core.pt2"), net, noise(1, 3, 8, seed=1))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_program_of_core_convolutions(folder: Path) -> None:
    net = saved(folder / "net.pt2")
    agree(read_torch(core(net, noise(1, 3, 6, 6))), net, noise(1, 3, 6, 6, seed=1))


def test_callable_with_examples_beside_it() -> None:
    graph = read_torch("some_nets:build")
    assert graph.name == "build"
    assert str(graph.inputs[0].type) == "f32[2, 4]"


def test_shapes_replace_the_examples() -> None:
    graph = read_torch("some_nets:build", shapes={"input": (5, 4)})
    assert str(graph.results[0].type) == "f32[5, 3]"


def test_callable_with_shapes_alone() -> None:
    assert (
        str(read_torch("bare_nets:build", shapes={"input": (5, 4)}).inputs[0].type) == "f32[5, 4]"
    )


def test_module_that_is_already_made() -> None:
    assert str(read_torch("some_nets:made").results[0].type) == "f32[2, 2]"


def test_class_of_a_module() -> None:
    assert str(read_torch("bare_nets:Odd", shapes={"x": (4, 4)}).results[0].type) == "f32[4, 4]"


@pytest.mark.parametrize(
    ("source", "kind", "complaint"),
    [
        ("gone.pt2", ReadError, "gone.pt2: no such file"),
        ("gone", ReadError, "gone: no such file, and not a package.module:callable"),
        ("gone:build", ReadError, "gone:build: cannot import gone: no such module"),
        ("broken_nets:build", ReadError, "No module named 'a_module_that_is_missing'"),
        ("some_nets:gone", ReadError, "some_nets:gone: some_nets has no 'gone'"),
        ("some_nets:torch.pi", ReadError, "is a float, wants a callable"),
        ("some_nets:number", BadModel, "returns a int, wants a torch.nn.Module"),
        ("some_nets:wants", ReadError, "missing 1 required positional argument: 'width'"),
        ("some_nets:fails", ReadError, "some_nets:fails: RuntimeError: no weights here$"),
        ("some_nets:Odd", BadModel, "some_nets:Odd: torch.export fails: RuntimeError"),
        ("bare_nets:build", UsageError, "nothing says the shape of input: give --input-shape"),
    ],
)
def test_source_that_is_none(source: str, kind: type[QcompileError], complaint: str) -> None:
    with pytest.raises(kind, match=complaint):
        read_torch(source)


def test_shape_of_an_input_that_the_module_has_not() -> None:
    with pytest.raises(UsageError, match="no input named y: it takes input"):
        read_torch("bare_nets:build", shapes={"y": (1, 4)})


def test_example_that_does_not_fit() -> None:
    with pytest.raises(BadModel, match=r"torch\.export fails"):
        read_torch(nn.Linear(4, 2), inputs=noise(1, 3))


def _garbage(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 this is not an archive")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _half(path: Path) -> None:
    saved(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _weights(path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), path)


@pytest.mark.parametrize("spoil", [_garbage, _empty, _half, _weights])
def test_file_that_is_no_program(folder: Path, spoil: Any) -> None:
    spoil(folder / "bad.pt2")
    with pytest.raises(BadModel, match=r"bad.pt2: not an archive of torch.export.save") as error:
        read_torch("bad.pt2")
    assert "\n" not in str(error.value)


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def test_operator_that_no_one_here_knows(folder: Path) -> None:
    with torch.library._scoped_library("elsewhere", "FRAGMENT") as library:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", _doubled, "CompositeExplicitAutograd")
        twice: Any = torch.ops.elsewhere.twice
        program = torch.export.export(Function(lambda x: twice(x) + 1), (noise(2, 3),))
        torch.export.save(program, folder / "odd.pt2")
    with pytest.raises(BadModel, match=r"odd.pt2: has the operator elsewhere\.twice, which only"):
        read_torch("odd.pt2")
