"""The ARM library, under qemu where cross compiler and emulator are installed."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from qcompile.errors import ArtifactError
from qcompile.ir.ops.integer import softmax_integer
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.norm import LayerNorm
from qcompile.ir.ops.pointwise import Gelu, Tanh
from qcompile.ir.ops.pool import MaxPool
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.reduce import LogSoftmax
from qcompile.ir.ops.source import Input
from qcompile.ir.types import I8, U8, Scalar, f32
from qcompile.ir.unit import per_tensor
from qcompile.targets.tvm.emulated import is_foreign
from qcompile.targets.tvm.isa import NEON_DOT
from qcompile.targets.tvm.target import ARM64_INT8, X86_INT8
from tests.targets.tvm.checks import drawn, graph_of, narrowed, weights

TOOLS = ("aarch64-linux-gnu-gcc", "qemu-aarch64-static")
needs_tools = pytest.mark.skipif(
    not is_foreign(NEON_DOT) or not all(shutil.which(t) for t in TOOLS),
    reason="needs gcc-aarch64-linux-gnu and qemu-user-static",
)


@needs_tools
@pytest.mark.parametrize("elem", [U8, I8], ids=str)
def test_the_arm_library_gives_the_same_bits(elem: object, tmp_path: Path):
    kind = U8 if elem == U8 else I8
    zero = 120 if kind == U8 else 3
    x = Quantize(Input(f32(1, 3, 17, 18), name="x"), kind, per_tensor(0.03, zero))
    first = narrowed(Conv(x, weights(24, 3, 3, 3), pads=(1, 1, 1, 1)), elem=kind, zero=zero)
    pooled = MaxPool(first, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1))
    second = narrowed(Conv(pooled, weights(24, 1, 3, 3), groups=24))
    graph = graph_of(Dequantize(second))
    inputs = drawn(graph)
    emitted = ARM64_INT8.emit(graph, tmp_path, threads=2)
    runtime = ARM64_INT8.open(tmp_path, emitted.details, threads=1)
    found = runtime.run({"x": inputs[0]})["y0"]
    np.testing.assert_array_equal(found, graph.run(*inputs)[0])
    raw = runtime.run_raw({"x": inputs[0]})["y0"]
    assert raw.dtype == np.uint8


@needs_tools
@pytest.mark.parametrize("elem", [U8, I8], ids=str)
def test_products_of_values_on_arm(elem: Scalar, tmp_path: Path):
    x = Quantize(Input(f32(2, 9, 22), name="x"), elem, per_tensor(0.03, 9))
    y = Quantize(Input(f32(2, 22, 20), name="y"), I8, per_tensor(0.03))
    weight = softmax_integer(MatMul(x, y), 2)
    graph = graph_of(Dequantize(weight))
    inputs = drawn(graph)
    emitted = ARM64_INT8.emit(graph, tmp_path, threads=1)
    runtime = ARM64_INT8.open(tmp_path, emitted.details, threads=1)
    found = runtime.run(dict(zip("xy", inputs, strict=True)))["y0"]
    np.testing.assert_array_equal(found, graph.run(*inputs)[0])


@needs_tools
def test_functions_and_sums_of_reals_on_arm(tmp_path: Path):
    x = Input(f32(3, 41), name="x")
    graph = graph_of(LayerNorm(Gelu(Tanh(x)), axis=1), LogSoftmax(x, 1))
    inputs = drawn(graph)
    emitted = ARM64_INT8.emit(graph, tmp_path, threads=1)
    runtime = ARM64_INT8.open(tmp_path, emitted.details, threads=1)
    found = runtime.run({"x": inputs[0]})
    norm, share = graph.run(*inputs)
    np.testing.assert_allclose(found["y0"], norm, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(found["y1"], share, rtol=2e-6, atol=2e-6)


def test_a_library_of_another_instruction_set_is_refused(tmp_path: Path):
    with pytest.raises(ArtifactError, match="was built for neon-dotprod, not avx512vnni"):
        X86_INT8.open(tmp_path, {"native": {"isa": "neon-dotprod"}}, threads=1)


def test_a_manifest_without_the_entry_is_refused(tmp_path: Path):
    with pytest.raises(ArtifactError, match="no entry 'native'"):
        X86_INT8.open(tmp_path, {}, threads=1)
