"""What the tests of the native targets share: build here, run, compare with the interpreter."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.integer import requantize
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import I8, I32, U8, Array, Scalar, TensorType
from qcompile.ir.unit import Affine, per_tensor
from qcompile.targets.loops.nest import Nest
from qcompile.targets.tvm.build import build
from qcompile.targets.tvm.isa import AVX512_VNNI, ISAS, Isa
from qcompile.targets.tvm.library import Library


def here() -> list[Isa]:
    """The x86 instruction sets that this processor has."""
    flags = set(Path("/proc/cpuinfo").read_text().replace("_", "").split())
    x86 = [isa for isa in ISAS.values() if isa.triple.startswith("x86")]
    return [isa for isa in x86 if all(f in flags for f in isa.features)]


every_isa = pytest.mark.parametrize("isa", here(), ids=lambda isa: isa.name)
BEST = here()[0] if here() else AVX512_VNNI


def compiled_here(nests: Mapping[str, Nest], isa: Isa, work: Path) -> list[Path]:
    """The kernels in this process: without the seconds that a new one takes to start."""
    from qcompile.targets.tvm.compiler import compile_nests

    path = work / "kernels.o"
    compile_nests(dict(nests), isa, path)
    return [path]


def opened(graph: Graph, folder: Path, isa: Isa, *, threads: int = 1) -> Library:
    """The graph as a library, opened."""
    build(graph, isa, folder, compiler=compiled_here)
    return Library(folder / "model.so", folder, threads=threads)


def same_bits(graph: Graph, folder: Path, isa: Isa = BEST, *, threads: int = 1) -> None:
    """The library gives what the interpreter gives."""
    inputs = drawn(graph)
    wanted = graph.run(*inputs)
    with opened(graph, folder, isa, threads=threads) as library:
        found = library.run(inputs)
    for want, got in zip(wanted, found, strict=True):
        assert want.dtype == got.dtype
        np.testing.assert_array_equal(got, want)


def nearly(graph: Graph, folder: Path, isa: Isa = BEST, *, tolerance: float = 1e-4) -> None:
    """As `same_bits`, for reals."""
    inputs = drawn(graph)
    with opened(graph, folder, isa) as library:
        found = library.run(inputs)
    for want, got in zip(graph.run(*inputs), found, strict=True):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def drawn(graph: Graph, seed: int = 0) -> list[Array]:
    """One value for each input, over the element's whole range."""
    rng = np.random.default_rng(seed)
    values: list[Array] = []
    for node in graph.inputs:
        shape, elem = static(node.type.shape), node.type.elem
        if elem.is_float:
            values.append(rng.standard_normal(shape).astype(elem.storage))
        elif elem.name == "bool":
            values.append(rng.integers(0, 2, shape).astype(np.bool_))
        else:
            low, high = max(elem.lo, -(1 << 20)), min(elem.hi, 1 << 20)
            values.append(rng.integers(low, high, shape, endpoint=True).astype(elem.storage))
    return values


def given(*shape: int, elem: Scalar = U8, zero: int | None = None, scale: float = 0.02) -> Input:
    """An integer input."""
    point = (3 if elem == U8 else -5) if zero is None else zero
    return Input(TensorType(shape, elem, per_tensor(scale, point)), name="x")


def weights(*shape: int, axis: int | None = 0, seed: int = 1, elem: Scalar = I8) -> Const:
    """Weights over the whole element range; one scale per index of `axis`."""
    rng = np.random.default_rng(seed)
    values = rng.integers(elem.lo, elem.hi, shape, endpoint=True).astype(elem.storage)
    if axis is None:
        return const(values, elem=elem, unit=per_tensor(0.003))
    scales = tuple(float(s) for s in rng.uniform(0.001, 0.005, shape[axis]))
    return const(values, elem=elem, unit=Affine(scales, axis=axis))


def biased(node: Node, channel_axis: int) -> Const:
    """A bias in the accumulator's unit."""
    unit = node.type.unit
    assert unit is not None
    count = static(node.type.shape)[channel_axis]
    rng = np.random.default_rng(2)
    axis = None if unit.axis is None else 0
    values = rng.integers(-20000, 20000, count).astype(np.int32)
    return const(values, elem=I32, unit=Affine(unit.scale, axis=axis))


def narrowed(x: Node, *, steps: float = 200.0, zero: int = 17, elem: Scalar = U8) -> Node:
    """x requantized so that its drawn values spread over about `steps` steps."""
    unit = x.type.unit
    assert unit is not None
    largest = max(unit.scale) * 4000
    return requantize(x, elem, per_tensor(largest / steps, zero), lo=elem.lo, hi=elem.hi)


def graph_of(*outputs: Node) -> Graph:
    """A graph over all inputs that the outputs read."""
    nodes = Graph("", (), tuple((f"y{i}", o) for i, o in enumerate(outputs))).nodes
    inputs = tuple(n for n in nodes if isinstance(n, Input))
    named = tuple((f"y{i}", o) for i, o in enumerate(outputs))
    return Graph("case", inputs, named)
