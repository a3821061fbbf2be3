"""What the tests of generated kernels share: graphs lowered to nests, run by the emulator."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.types import Array, TensorType
from qcompile.program.program import Buffer
from qcompile.targets.cuda.arrays import Array as Known
from qcompile.targets.cuda.border import border_of
from qcompile.targets.cuda.emulator import Emulator, emulator_library
from qcompile.targets.cuda.lowering import DeviceLowering
from qcompile.targets.cuda.nest_kernel import KernelSource, nest_kernel
from qcompile.targets.loops.draft import Arg, External, Step_, Stored
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.lower.plain import convolve_plainly, depthwise, multiply_plainly
from qcompile.targets.loops.lowering import Contract
from qcompile.targets.loops.select import Lowered, lower
from qcompile.targets.loops.weights import is_depthwise
from tests.targets.tvm.checks import drawn

LANES = 8
PER_FILE = 60  # kernels that one run of the compiler takes


@dataclass
class PlainLowering(DeviceLowering):
    """The device's, but for sums of products: those are loop nests, too."""

    def contraction(self, node: Conv | ConvTranspose | MatMul) -> Contract:
        match node:
            case Conv() if is_depthwise(node):
                return depthwise
            case Conv() | ConvTranspose():
                return convolve_plainly
            case MatMul():
                return multiply_plainly

    def companions(self, every: Sequence[Group]) -> Mapping[Node, Group]:
        return {}


@dataclass(frozen=True)
class Case:
    """A graph and its kernels, each named by the case and its step."""

    name: str
    graph: Graph
    lowered: Lowered
    kernels: tuple[KernelSource, ...]

    @property
    def steps(self) -> Iterable[tuple[Step_, KernelSource]]:
        return zip(self.lowered.steps, self.kernels, strict=True)


def case(name: str, graph: Graph, *, lanes: int = LANES) -> Case:
    """The kernels of every step of a graph."""
    lowered = lower(PlainLowering(graph, lanes))
    kernels = tuple(kernel(step, f"{name}_{i}") for i, step in enumerate(lowered.steps))
    return Case(name, graph, lowered, kernels)


def kernel(step: Step_, name: str) -> KernelSource:
    """The kernel of one step."""
    borders = () if step.border is None else (border_of(step.border),)
    comment = f"{step.node.name or step.node.op}: {step.node.type}"
    arrays = [Known(outside=isinstance(a, External)) for a in step.args]
    return nest_kernel(step.nest, name, comment=comment, borders=borders, arrays=arrays)


def built(cases: Iterable[Case], cache: Path) -> Emulator:
    """All kernels of the cases in one library."""
    texts = [k.text for c in cases for k in c.kernels]
    files = {
        f"kernels{i}": "\n".join(texts[i : i + PER_FILE]) for i in range(0, len(texts), PER_FILE)
    }
    return Emulator(emulator_library(files, cache=cache, flags=("-O0",)))


class Memory:
    """Buffers, weights and the caller's arrays as bytes; what nobody wrote is 0xA5."""

    def __init__(self, lowered: Lowered, inputs: Iterable[Array]) -> None:
        self.weights = np.frombuffer(b"".join(lowered.weights) or bytes(64), np.uint8)
        self.inputs = [np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in inputs]
        self.outputs: dict[int, Array] = {}
        self.buffers: dict[Buffer, Array] = {}

    def array(self, arg: Arg, kinds: Sequence[TensorType]) -> Array:
        match arg:
            case Buffer():
                size = arg.size + 256
                return self.buffers.setdefault(arg, np.full(size, 0xA5, np.uint8))
            case Stored(offset=offset):
                return self.weights[offset:]
            case External(index=index, output=True):
                return self.outputs.setdefault(index, _blank(kinds[index]))
            case External(index=index):
                return self.inputs[index]


def _blank(kind: TensorType) -> Array:
    count = int(np.prod(static(kind.shape)))
    return np.full(count * kind.elem.storage.itemsize, 0xA5, np.uint8)


def run(case: Case, emulator: Emulator, *inputs: Array) -> list[Array]:
    """The outputs for inputs, both as the graph has them."""
    low = case.lowered
    kinds = [port.real for port in low.outputs]
    return _run(case, emulator, inputs, (*low.enter_real, *low.body, *low.leave_real), kinds)


def run_raw(case: Case, emulator: Emulator, *inputs: Array) -> list[Array]:
    """The integers behind the outputs for the integers behind the inputs."""
    low = case.lowered
    kinds = [port.raw for port in low.outputs]
    return _run(case, emulator, inputs, (*low.enter_raw, *low.body, *low.leave_raw), kinds)


def _run(
    case: Case,
    emulator: Emulator,
    inputs: Iterable[Array],
    steps: Iterable[Step_],
    kinds: Sequence[TensorType],
) -> list[Array]:
    memory = Memory(case.lowered, inputs)
    sources = {id(step): source for step, source in case.steps}
    for step in steps:
        source = sources[id(step)]
        arrays = [memory.array(a, kinds) for a in step.args]
        emulator.launch(source.name, grid=(source.grid,), block=(source.block,), arrays=arrays)
    return [
        memory.outputs[i].view(kind.elem.storage).reshape(static(kind.shape))
        for i, kind in enumerate(kinds)
    ]


def same_raw_bits(case: Case, emulator: Emulator) -> None:
    """As `same_bits`, for integers on both sides."""
    graph, inputs = case.graph, drawn(case.graph)
    inner = [(n, y.x if isinstance(y, Dequantize) else y) for n, y in graph.outputs]
    wanted = Graph(graph.name, graph.inputs, tuple(inner)).run(*inputs)
    given = [_entered(graph, node, x) for node, x in zip(graph.inputs, inputs, strict=True)]
    for got, want in zip(run_raw(case, emulator, *given), wanted, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def _entered(graph: Graph, node: Node, value: Array) -> Array:
    users = graph.users[node]
    entered = len(users) == 1 and isinstance(users[0], Quantize)
    return users[0].evaluate(value) if entered else value


def same_bits(case: Case, emulator: Emulator) -> None:
    """The kernels give what the interpreter gives."""
    inputs = drawn(case.graph)
    for got, want in zip(run(case, emulator, *inputs), case.graph.run(*inputs), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def nearly(case: Case, emulator: Emulator, *, tolerance: float = 1e-4) -> None:
    """As `same_bits`, for reals."""
    inputs = drawn(case.graph)
    for got, want in zip(run(case, emulator, *inputs), case.graph.run(*inputs), strict=True):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
