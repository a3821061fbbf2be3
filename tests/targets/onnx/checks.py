"""What every test of the ONNX writer asks: the same bits as the graph itself."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import Array, Scalar, TensorType
from qcompile.ir.unit import Affine, per_tensor
from qcompile.targets.onnx import OnnxProgram, emit_integer, emit_onnx, emit_qdq


def ints(elem: str, *shape: int, scale: float = 0.1, zero: int = 0, name: str = "x") -> Input:
    """A quantized graph input."""
    return Input(TensorType(shape, Scalar(elem), per_tensor(scale, zero)), name=name)


def reals(*shape: int, name: str = "x") -> Input:
    """A float graph input."""
    return Input(TensorType(shape, Scalar("f32")), name=name)


def random(node: Input, rng: np.random.Generator) -> Array:
    """Values over the whole range of the input's type; its extremes are among them."""
    kind, shape = node.type.elem, static(node.type.shape)
    if kind.is_float:
        return rng.normal(0, 3, shape).astype(kind.storage)
    values = rng.integers(kind.lo, kind.hi, shape, endpoint=True)
    values.flat[:2] = [kind.lo, kind.hi][: values.size]
    return values.astype(kind.storage)


def weights(
    rng: np.random.Generator,
    *shape: int,
    elem: str = "i8",
    axis: int | None = None,
    zeros: str = "none",
    name: str = "w",
) -> Const:
    """A weight over its whole range, per channel of `axis` if given, with zero points or not."""
    kind = Scalar(elem)
    values = rng.integers(kind.lo, kind.hi, shape, endpoint=True).astype(kind.storage)
    values.flat[:2] = [kind.lo, kind.hi]
    count = 1 if axis is None else shape[axis]
    scale = tuple(float(s) for s in rng.uniform(0.001, 0.01, count))
    points = {
        "none": (0,),
        "one": (int(rng.integers(kind.lo, kind.hi)),),
        "many": tuple(int(z) for z in rng.integers(kind.lo, kind.hi, count, endpoint=True)),
    }[zeros]
    return const(values, elem=kind, unit=Affine(scale, points, axis=axis), name=name)


def bias(rng: np.random.Generator, like: Affine | None, *, name: str = "b") -> Const:
    """An int32 bias in the accumulator's unit, given without the bias."""
    assert like is not None
    values = rng.integers(-50000, 50000, len(like.scale)).astype(np.int32)
    axis = None if like.axis is None else 0
    return const(values, unit=Affine(like.scale, axis=axis), name=name)


def graph_of(*outputs: Node) -> Graph:
    """A graph with outputs y0, y1, … and the inputs that they read."""
    found = Graph("g", (), tuple((f"y{i}", o) for i, o in enumerate(outputs)))
    inputs = tuple(n for n in found.nodes if isinstance(n, Input))
    return Graph("g", inputs, found.outputs)


def feed(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """One random array for each input."""
    rng = np.random.default_rng(seed)
    return {i.name: random(i, rng) for i in graph.inputs}


def same_bits(*outputs: Node, inputs: Mapping[str, Array] | None = None) -> Graph:
    """Asserts that onnxruntime, its optimizer on and off, gives `Graph.run` bit for bit."""
    graph = graph_of(*outputs)
    given = feed(graph) if inputs is None else dict(inputs)
    wanted = graph.run(*(given[i.name] for i in graph.inputs))
    with tempfile.TemporaryDirectory() as folder:
        path = emit_integer(graph, Path(folder)).paths[0]
        for optimize in (True, False):
            got = OnnxProgram(path, optimize=optimize).run(given)
            for (name, node), value in zip(graph.outputs, wanted, strict=True):
                assert got[name].dtype == node.type.elem.storage
                assert got[name].shape == value.shape
                differing = int(np.count_nonzero(got[name] != value))
                assert differing == 0, f"{name}: {differing} of {value.size} differ"
    return graph


def near(*outputs: Node, relative: float = 1e-5, absolute: float = 1e-5) -> Graph:
    """Asserts that onnxruntime agrees with `Graph.run` up to float rounding."""
    graph = graph_of(*outputs)
    given = feed(graph)
    wanted = graph.run(*(given[i.name] for i in graph.inputs))
    with tempfile.TemporaryDirectory() as folder:
        path = emit_onnx(graph, Path(folder))[0]
        got = OnnxProgram(path).run(given)
    for (name, _), value in zip(graph.outputs, wanted, strict=True):
        np.testing.assert_allclose(got[name], value, rtol=relative, atol=absolute)
        assert got[name].dtype == value.dtype
    return graph


def qdq_output(graph: Graph, given: Mapping[str, Array], *, optimize: bool) -> dict[str, Array]:
    """The Q/DQ form's outputs."""
    with tempfile.TemporaryDirectory() as folder:
        path = emit_qdq(graph, Path(folder)).paths[0]
        return OnnxProgram(path, optimize=optimize).run(given)
