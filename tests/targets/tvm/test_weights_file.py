"""weights.bin: every constant once, in its own bits; the library spreads what is narrow."""

from pathlib import Path

import numpy as np
import pytest

from qcompile.errors import ArtifactError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.integer import ExpandGroups
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.quant import Dequantize
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import I8, Scalar, f32
from qcompile.ir.unit import Affine, per_tensor
from qcompile.program.kept import holds
from qcompile.targets.loops.select import lower
from qcompile.targets.tvm.build import build
from qcompile.targets.tvm.library import Library
from qcompile.targets.tvm.lowering import native
from qcompile.targets.tvm.weights_file import WeightsFile, weights_file
from tests.targets.tvm.checks import (
    BEST,
    compiled_here,
    given,
    graph_of,
    same_bits,
    weights,
)  # fmt: skip

I4 = Scalar("i4")


def grouped(*shape: int, axis: int, group: int, elem: Scalar = I4) -> Const:
    """Narrow weights whose groups have steps of 1 to 16."""
    plain = weights(*shape, axis=axis, elem=elem)
    assert plain.type.unit is not None
    runs = -(-plain.data.size // shape[axis] // group)
    steps = np.random.default_rng(4).integers(1, 17, shape[axis] * runs, dtype=np.uint8)
    unit = Affine(plain.type.unit.scale, axis=axis, group=group, steps=steps.tobytes())
    return const(plain.array, elem=elem, unit=unit)


IMAGE, ROWS, REALS = given(1, 32, 6, 6), given(2, 40), Input(f32(2, 40), name="r")
OF_IMAGE = {
    f"convolution, {elem}": Conv(IMAGE, weights(24, 32, 3, 3, elem=Scalar(elem), seed=i))
    for i, elem in enumerate(("i2", "i3", "i4", "i5", "i6", "i7"))
} | {
    "of few channels": Conv(given(1, 3, 9, 9), weights(64, 3, 3, 3, elem=I4)),
    "depthwise": Conv(IMAGE, weights(32, 1, 5, 5, elem=I4), groups=32),
    "grouped": Conv(IMAGE, weights(64, 8, 3, 3, elem=I4), groups=4),
    "with steps": Conv(IMAGE, ExpandGroups(grouped(20, 32, 3, 3, axis=0, group=40))),
    "transposed": ConvTranspose(
        IMAGE, weights(32, 16, 3, 3, axis=1, elem=I4), stride=(2, 2), pads=(1, 1, 1, 1)
    ),
}
OF_ROWS = {
    "product": MatMul(ROWS, weights(40, 30, axis=1, elem=I4)),
    "product with steps": MatMul(ROWS, ExpandGroups(grouped(40, 30, axis=1, group=16))),
}
OF_REALS = {
    "reals": MatMul(REALS, Dequantize(weights(40, 32, axis=1, elem=I4))),
    "reals of bytes": MatMul(REALS, Dequantize(weights(40, 32, axis=None))),
    "reals with steps": MatMul(REALS, Dequantize(grouped(40, 32, axis=1, group=16))),
}
NARROW = OF_IMAGE | OF_ROWS | OF_REALS


def laid_out(graph: Graph) -> WeightsFile:
    ctx = native(graph, BEST)
    lower(ctx)
    return weights_file(ctx.weights)


def narrow_weight(graph: Graph) -> Const:
    (found,) = (n for n in graph.nodes if isinstance(n, Const) and n.data.size > 100)
    return found


def size(file: WeightsFile) -> int:
    return sum(map(len, file.parts))


@pytest.mark.parametrize("case", NARROW)
def test_a_narrow_weight_lies_in_the_file_once_in_its_own_bits(case: str, tmp_path: Path):
    graph = graph_of(NARROW[case])
    file, weight = laid_out(graph), narrow_weight(graph)
    kept = file.kept[weight.data.digest]
    assert [plane.bits for plane in kept.planes] == [weight.elem.bits]
    (tmp_path / kept.file).write_bytes(b"".join(file.parts))
    assert holds(kept, tmp_path, weight.data)
    assert {spread.source for spread in file.spreads} == {kept.planes[0].offset}


OF_IMAGE_ALONE = [node for name, node in OF_IMAGE.items() if name != "of few channels"]


@pytest.mark.parametrize(
    "nodes",
    [OF_IMAGE_ALONE, [OF_IMAGE["of few channels"]], [*OF_ROWS.values()]],
    ids=["image", "few channels", "rows"],
)
def test_the_library_multiplies_what_it_spread(nodes: list[Node], tmp_path: Path):
    same_bits(graph_of(*nodes), tmp_path)


def test_reals_are_those_of_the_graph(tmp_path: Path):
    """One input that is 1 at a time reads the weights themselves."""
    graph = graph_of(*OF_REALS.values())
    build(graph, BEST, tmp_path, compiler=compiled_here)
    one = np.eye(2, 40, dtype=np.float32)
    with Library(tmp_path / "model.so", tmp_path) as library:
        for want, got in zip(graph.run(one), library.run([one]), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "node",
    [
        Conv(IMAGE, weights(32, 32, 3, 3)),
        MatMul(ROWS, weights(40, 30, axis=1)),
    ],
    ids=["convolution", "product"],
)
def test_weights_of_a_byte_are_mapped_as_the_kernels_read_them(node: Node, tmp_path: Path):
    graph = graph_of(node)
    file, weight = laid_out(graph), narrow_weight(graph)
    assert (file.spreads, file.memory) == ([], 0)
    kept = file.kept[weight.data.digest]
    (tmp_path / kept.file).write_bytes(b"".join(file.parts))
    assert holds(kept, tmp_path, weight.data)


def test_one_weight_for_several_kernels_is_stored_once():
    """The phases of a transposed convolution read parts of it."""
    node = ConvTranspose(IMAGE, weights(32, 16, 4, 4, axis=1), stride=(2, 2))
    file = laid_out(graph_of(node))
    assert [spread.bits for spread in file.spreads] == [8] * 4
    assert len({spread.source for spread in file.spreads}) == 1


def test_four_bits_take_half_of_eight():
    w = weights(64, 64, 3, 3, elem=I4)
    wide = const(w.array, elem=I8, unit=w.type.unit)
    x = given(1, 64, 6, 6)
    small, large = (laid_out(graph_of(Conv(x, each))) for each in (w, wide))
    assert size(large) - size(small) > 0.47 * w.data.size


def test_bytes_that_kernels_pad_much_are_spread_too():
    """24 outputs fill one and a half registers."""
    (spread,) = laid_out(graph_of(Conv(IMAGE, weights(24, 32, 3, 3)))).spreads
    assert (spread.bits, spread.count) == (8, 32 * 32 * 9)


def test_small_weights_are_left_in_the_order_of_the_kernels():
    file = laid_out(graph_of(Conv(given(1, 4, 5, 5), weights(4, 4, 3, 3, elem=I4))))
    assert file.spreads == []


def test_zero_points_are_taken_off(tmp_path: Path):
    w = weights(32, 32, 3, 3, axis=None, elem=I4)
    shifted = const(w.array, elem=I4, unit=per_tensor(0.003, 3))
    graph = graph_of(Conv(IMAGE, shifted))
    (spread,) = laid_out(graph).spreads
    assert spread.less == 8 + 3
    same_bits(graph, tmp_path)


def test_a_table_that_leads_out_of_memory_is_found(tmp_path: Path):
    graph = graph_of(OF_ROWS["product"])
    spread = build(graph, BEST, tmp_path, compiler=compiled_here).weights.spreads[0]
    path = tmp_path / "weights.bin"
    data = bytearray(path.read_bytes())
    data[spread.tables[0] + 2] ^= 64
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="damaged or belongs to another model"):
        Library(tmp_path / "model.so", tmp_path)
    with pytest.raises(ArtifactError, match="weight 0 has no place"):
        Library(tmp_path / "model.so", tmp_path, checked=False)
