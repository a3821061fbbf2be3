"""Quantized operands as unsigned bytes, the one form that every CPU multiplies exactly.

onnxruntime's kernels for unsigned times signed bytes add pairs of products in 16 bits on x86
without VNNI and saturate; those for unsigned times unsigned bytes do not. So i8 becomes u8 by
adding 128 to the values and to the zero point, which changes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.errors import NotLegal
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Array, TensorType
from qcompile.ir.unit import Affine
from qcompile.targets.onnx.model import Held, Writer
from qcompile.targets.onnx.narrow import codes, lowest

Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Part:
    """factor · (bytes − zero_point), one term of an operand."""

    name: str
    zero_point: int
    factor: int = 1


def unit_of(node: Node) -> Affine:
    """The unit of a value that is known to be quantized."""
    assert node.type.unit is not None
    return node.type.unit


def input_parts(w: Writer, node: Node) -> list[Part]:
    """q − zero_point of a per-tensor operand as a sum of byte tensors: one, or two for 16 bits."""
    zero = unit_of(node).zero_point[0]
    storage = node.type.elem.storage
    if storage.itemsize == 1:
        part = Part(_unsigned(w, node), zero + (128 if storage.kind == "i" else 0))
        return [_checked(node, part)]
    if storage.itemsize == 2:
        return [_checked(node, part) for part in _halves(w, node, zero)]
    raise NotLegal(f"{node}: {node.type.elem} is wider than ONNX's integer products take")


def _unsigned(w: Writer, node: Node) -> str:
    name = w.value(node)
    if node.type.elem.storage.kind == "u":
        return name
    if (node, "u8") not in w.variants:
        wrapped = w.cast(name, np.uint8)
        shifted = w.op("Add", [wrapped, w.constant(128, np.uint8)], since=14)
        w.variants[node, "u8"] = shifted
    return w.variants[node, "u8"]


def _halves(w: Writer, node: Node, zero: int) -> list[Part]:
    """q + 2^15 = 256 · high + low."""
    offset = 1 << 15 if node.type.elem.storage.kind == "i" else 0
    whole = w.op("Add", [w.cast(w.value(node), np.int32), w.constant(offset, np.int32)])
    high = w.op("Div", [whole, w.constant(256, np.int32)])
    low = w.op("Mod", [whole, w.constant(256, np.int32)])
    zero_high, zero_low = divmod(zero + offset, 256)
    return [
        Part(w.cast(high, np.uint8), zero_high, 256),
        Part(w.cast(low, np.uint8), zero_low),
    ]


def _checked(node: Node, part: Part) -> Part:
    if not 0 <= part.zero_point <= 255:
        raise NotLegal(f"{node}: zero point {part.zero_point} is no byte: {node.type.unit}")
    return part


def weight_parts(w: Writer, node: Node) -> list[Part]:
    """w − zero_point as byte tensors; two when zero points per channel need nine bits."""
    kind = node.type
    unit = unit_of(node)
    if not w.is_constant(node):
        if len(unit.zero_point) != 1:
            raise NotLegal(f"{node}: a computed operand wants one zero point, got {unit}")
        return input_parts(w, node)
    if kind.elem.storage.itemsize != 1:
        raise NotLegal(f"{node}: {kind.elem} weights are wider than ONNX's integer products take")
    if len(unit.zero_point) == 1:
        return [_one_part(w, node, unit.zero_point[0])]
    return _two_parts(w, node)


def _one_part(w: Writer, node: Node, zero: int) -> Part:
    if isinstance(node, Const) and w.packs(node):
        return _checked(node, Part(codes(w, node), zero + lowest(node.elem)))
    if node.type.elem.storage.kind == "u":
        return _checked(node, Part(w.value(node), zero))
    if w.names[node] in w.initializers:
        return _checked(node, Part(_unsigned(w, node), zero + 128))
    name = f"{w.names[node]}~u8"

    def load() -> Array:
        return w.load(node).view(np.uint8) + np.uint8(128)  # modulo 256

    if name not in w.initializers:
        w.promise(name, np.dtype(np.uint8), sizes(node.type), load)
        if isinstance(node, Const):
            w.held.setdefault(node, Held(((name, 8),), 128))
    return _checked(node, Part(name, zero + 128))


def _two_parts(w: Writer, node: Node) -> list[Part]:
    def centred() -> Values:
        wide: Values = w.load(node).astype(np.int32)
        return wide - unit_of(node).zero_points(wide.ndim)

    def first() -> Array:
        return (np.clip(centred(), -128, 127) + 128).astype(np.uint8)

    def second() -> Array:
        whole = centred()
        return (whole - np.clip(whole, -128, 127) + 127).astype(np.uint8)

    parts: list[Part] = []
    for k, (load, zero) in enumerate(((first, 128), (second, 127))):
        name = f"{w.names[node]}~part{k}"
        w.promise(name, np.dtype(np.uint8), sizes(node.type), load)
        parts.append(Part(name, zero))
    return parts


def sizes(kind: TensorType) -> tuple[int, ...]:
    """The lengths of a tensor that has no open ones."""
    known = tuple(d for d in kind.shape if isinstance(d, int))
    if len(known) != kind.rank:
        raise NotLegal(f"{kind} has open dimensions: give --input-shape")
    return known
