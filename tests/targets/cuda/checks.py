"""What the tests of generated kernels share: graphs lowered to nests, run by the emulator."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.types import Array, TensorType
from qcompile.program.program import Buffer
from qcompile.targets.cuda.border import border_of
from qcompile.targets.cuda.emulator import Emulator, emulator_library
from qcompile.targets.cuda.nest_kernel import KernelSource, nest_kernel
from qcompile.targets.cuda.printer import Array as Known
from qcompile.targets.loops.draft import Arg, External, Step_, Stored
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.layout import padded_width
from qcompile.targets.loops.lower.plain import convolve_plainly, depthwise, multiply_plainly
from qcompile.targets.loops.lowering import Contract, Lowering
from qcompile.targets.loops.nest import Nest, collapse, drop_unit_loops
from qcompile.targets.loops.pointwise import stored
from qcompile.targets.loops.select import Lowered, lower
from qcompile.targets.loops.weights import is_depthwise
from tests.targets.tvm.checks import drawn

PACKING = (Conv, ConvTranspose, MatMul, MaxPool, AveragePool)
LANES = 8
PER_FILE = 60  # kernels that one run of the compiler takes


@dataclass
class PlainLowering(Lowering):
    """Everything by loop nests; values of at most four bits lie packed."""

    def contraction(self, node: Conv | ConvTranspose | MatMul) -> Contract:
        match node:
            case Conv() if is_depthwise(node):
                return depthwise
            case Conv() | ConvTranspose():
                return convolve_plainly
            case MatMul():
                return multiply_plainly

    def scheduled(self, nest: Nest) -> Nest:
        return collapse(drop_unit_loops(nest))

    def format_of(self, group: Group) -> str:
        kind = group.head.type.elem
        rooted = group.root is None or isinstance(group.root, PACKING)
        if kind.bits > 4 or kind.is_float or group.head.type.unit is None or not rooted:
            return stored(kind)
        return "i4" if kind.signed else "u4"

    def padded(self, extent: int, elem: str) -> int:
        return -(-extent // 32) * 32 if elem in ("u4", "i4") else padded_width(extent)


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

    def array(self, arg: Arg, kinds: Mapping[int, TensorType]) -> Array:
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
    """The outputs for inputs that are reals or raw, as the graph has them."""
    lowered = case.lowered
    kinds = {i: port.real for i, port in enumerate(lowered.outputs)}
    memory = Memory(lowered, inputs)
    skipped = {id(s) for s in (*lowered.enter_raw, *lowered.leave_raw)}
    real = {id(s) for s in lowered.leave_real} | {id(s) for s in lowered.enter_real}
    for step, source in case.steps:
        if id(step) in skipped - real:
            continue
        arrays = [memory.array(a, kinds) for a in step.args]
        emulator.launch(source.name, grid=(source.grid,), block=(source.block,), arrays=arrays)
    return [
        memory.outputs[i].view(kind.elem.storage).reshape(static(kind.shape))
        for i, kind in kinds.items()
    ]


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
