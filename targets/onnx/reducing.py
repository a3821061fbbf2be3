"""Pools, reductions, normalizations."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from qcompile.ir.dims import is_static, static
from qcompile.ir.node import Node
from qcompile.ir.ops import norm as n
from qcompile.ir.ops import reduce as r
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.targets.onnx.bytes8 import Part, input_parts, sizes
from qcompile.targets.onnx.model import Handler, Writer
from qcompile.targets.onnx.pointwise import centred, narrow, on_words, word

_REDUCTIONS: dict[type[Node], str] = {
    r.ReduceSum: "ReduceSum",
    r.ReduceMean: "ReduceMean",
    r.ReduceMax: "ReduceMax",
    r.ReduceMin: "ReduceMin",
    r.ReduceProd: "ReduceProd",
    r.ReduceL2: "ReduceL2",
    r.ReduceLogSumExp: "ReduceLogSumExp",
}


def _geometry(node: MaxPool | AveragePool) -> dict[str, Any]:
    """Kernel, stride, dilation; and pads that make every window full, so that none overhangs."""
    pads = node.pads
    if node.ceil and is_static(node.x.type.shape):
        pads = _full_pads(node)
    dilation = node.dilation if any(d > 1 for d in node.dilation) else None
    return {
        "kernel_shape": node.kernel,
        "strides": node.stride,
        "pads": pads,
        "dilations": dilation,
        "ceil_mode": int(node.ceil and not is_static(node.x.type.shape)) or None,
    }


def _full_pads(node: MaxPool | AveragePool) -> tuple[int, ...]:
    count = len(node.kernel)
    spatial, out = sizes(node.x.type)[2:], sizes(node.type)[2:]
    after = [
        (out[i] - 1) * node.stride[i] + node.window.span[i] - spatial[i] - node.pads[i]
        for i in range(count)
    ]
    return (*node.pads[:count], *(max(a, 0) for a in after))


def max_pool(w: Writer, node: MaxPool) -> None:
    """MaxPool; integers above 8 bits by the greatest of all taps."""
    if node.type.is_float or node.type.elem.bits <= 8:
        w.op("MaxPool", [w.value(node.x)], out=w.names[node], **_geometry(node))
        return
    on_words(w, node, "Max", _taps(w, node, word(w, node.x), node.type.elem.lo))


def average_pool(w: Writer, node: AveragePool) -> None:
    """AveragePool; on integers a sum times L / divisor."""
    if node.type.unit is None:
        _float_average(w, node)
        return
    spatial = sizes(node.x.type)[2:]
    factors = node.factors(spatial)
    trivial = bool((factors == 1).all())
    total = _window_sum(w, node, out=w.names[node] if trivial else None)
    if not trivial:
        w.op("Mul", [total, w.constant(factors, np.int32)], out=w.names[node])


def _float_average(w: Writer, node: AveragePool) -> None:
    since = 19 if any(d > 1 for d in node.dilation) else 13
    geometry = _geometry(node)
    x = [w.value(node.x)]
    border = node.count_border
    if not (border and node.ceil and is_static(node.x.type.shape)):
        w.op(
            "AveragePool",
            x,
            out=w.names[node],
            since=since,
            count_include_pad=int(border),
            **geometry,
        )
        return
    mean = w.op("AveragePool", x, since=since, count_include_pad=1, **geometry)
    divisors = node.divisors(static(node.x.type.shape[2:]))
    factor = w.constant(prod(node.kernel) / divisors, node.type.elem.storage)
    w.op("Mul", [mean, factor], out=w.names[node])


def _window_sum(w: Writer, node: AveragePool, *, out: str | None) -> str:
    """Σ (q − zero_point) under each window."""
    n_, c, *spatial = sizes(node.x.type)
    lengths = sizes(node.type)[2:]
    if tuple(spatial) == node.kernel and set(lengths) == {1} and not any(node.pads):
        axes = w.constant(list(range(2, node.type.rank)), np.int64)
        return w.op("ReduceSum", [centred(w, node.x), axes], out=out, keepdims=1)
    if node.x.type.elem.bits > 8:
        return _add_all(w, _taps(w, node, centred(w, node.x), 0), out)
    (part,) = input_parts(w, node.x)
    flat = Part(_reshaped(w, part.name, (n_ * c, 1, *spatial)), part.zero_point)
    zeros = [w.constant(z, np.uint8) for z in (part.zero_point, 0)]
    ones = w.constant(np.ones((1, 1, *node.kernel)), np.uint8)
    total = w.op(
        "ConvInteger",
        [flat.name, ones, *zeros],
        kernel_shape=node.kernel,
        strides=node.stride,
        pads=_full_pads(node),
        dilations=node.dilation,
    )
    return _reshaped(w, total, (n_, c, *lengths), out=out)


def _reshaped(w: Writer, name: str, shape: tuple[int, ...], out: str | None = None) -> str:
    return w.op("Reshape", [name, w.constant(shape, np.int64)], out=out)


def _add_all(w: Writer, terms: list[str], out: str | None) -> str:
    """The sum of int32 tensors, as a balanced tree of Add."""
    while len(terms) > 2:
        pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
        terms = [pair[0] if len(pair) == 1 else w.op("Add", pair) for pair in pairs]
    return w.op("Add" if len(terms) == 2 else "Identity", terms, out=out)


def _taps(w: Writer, node: MaxPool | AveragePool, x: str, border: int) -> list[str]:
    """For each kernel offset the strided slice of x, with its border on, that it meets."""
    lengths, count = sizes(node.type)[2:], len(node.kernel)
    pads = _full_pads(node)
    if any(pads):
        both = (0, 0, *pads[:count], 0, 0, *pads[count:])
        x = w.op("Pad", [x, w.constant(both, np.int64), w.constant(border, np.int32)])
    axes = w.constant(range(2, 2 + count), np.int64)
    steps = w.constant(node.stride, np.int64)
    found: list[str] = []
    for offset in np.ndindex(*node.kernel):
        starts = [o * d for o, d in zip(offset, node.dilation, strict=True)]
        stops = [s + (m - 1) * t + 1 for s, m, t in zip(starts, lengths, node.stride, strict=True)]
        edges = [w.constant(v, np.int64) for v in (starts, stops)]
        found.append(w.op("Slice", [x, *edges, axes, steps]))
    return found


def reduction(w: Writer, node: r.Reduction) -> None:
    """A reduction, whose axes are an attribute before operator set 18 and an input after."""
    kind = _REDUCTIONS[type(node)]
    summed = node.x.type.unit is not None and isinstance(node, r.Summation)
    if summed:
        kind = "ReduceSum"
    x = centred(w, node.x) if summed else word(w, node.x)
    if not node.axes:
        w.op("Identity", [x], out=w.names[node])
        return
    storage = node.type.elem.storage
    carried = narrow(storage) and not summed
    name = None if carried else w.names[node]
    whole = reduced(w, kind, x, node.axes, keepdims=node.keepdims, out=name)
    if carried:
        w.cast(whole, storage, out=w.names[node])


def reduced(
    w: Writer,
    kind: str,
    x: str,
    axes: tuple[int, ...],
    *,
    keepdims: bool = True,
    out: str | None = None,
) -> str:
    """A reduction by ONNX's name, in the form of the operator set at hand."""
    if kind == "ReduceSum" or w.opset >= 18:
        operands = [x, w.constant(axes, np.int64)]
        return w.op(kind, operands, out=out, keepdims=int(keepdims))
    return w.op(kind, [x], out=out, axes=axes, keepdims=int(keepdims))


def arg(w: Writer, node: r.Arg) -> None:
    """ArgMax or ArgMin."""
    kind = "ArgMax" if isinstance(node, r.ArgMax) else "ArgMin"
    w.op(
        kind,
        [word(w, node.x)],
        out=w.names[node],
        axis=node.axis,
        keepdims=int(node.keepdims),
        select_last_index=int(node.last),
    )


def softmax(w: Writer, node: r.Softmax | r.LogSoftmax) -> None:
    """Softmax or LogSoftmax."""
    kind = "Softmax" if isinstance(node, r.Softmax) else "LogSoftmax"
    w.op(kind, [w.value(node.x)], out=w.names[node], axis=node.axis)


def norm(w: Writer, node: n.BatchNorm | n.InstanceNorm) -> None:
    """BatchNormalization or InstanceNormalization."""
    kind = "BatchNormalization" if isinstance(node, n.BatchNorm) else "InstanceNormalization"
    w.op(kind, [w.value(o) for o in node.operands], out=w.names[node], epsilon=node.eps)


def layer_norm(w: Writer, node: n.LayerNorm) -> None:
    """LayerNormalization; a scale of ones where there is none."""
    shape, storage = node.x.type.shape, node.type.elem.storage
    given = node.gamma
    gamma = w.constant(np.ones(static(shape[node.axis :])), storage) if given is None else None
    operands = [w.value(node.x), w.value(given) if given is not None else str(gamma)]
    operands += [] if node.beta is None else [w.value(node.beta)]
    kind = "LayerNormalization"
    w.op(kind, operands, out=w.names[node], since=17, axis=node.axis, epsilon=node.eps)


def rms_norm(w: Writer, node: n.RmsNorm) -> None:
    """x / √(mean(x²) + eps) · scale, spelled out: RMSNormalization came with operator set 23."""
    x, rank = w.value(node.x), node.type.rank
    mean = reduced(w, "ReduceMean", w.op("Mul", [x, x]), tuple(range(node.axis, rank)))
    guarded = w.op("Add", [mean, w.constant(node.eps, node.type.elem.storage)])
    factors = [x, w.op("Sqrt", [guarded])]
    if node.scale is None:
        w.op("Div", factors, out=w.names[node])
    else:
        w.op("Mul", [w.op("Div", factors), w.value(node.scale)], out=w.names[node])


def local_response_norm(w: Writer, node: n.LocalResponseNorm) -> None:
    """LRN."""
    w.op("LRN", [w.value(node.x)], out=w.names[node], **node.attributes)


REDUCING: dict[type[Node], Handler] = {
    **dict.fromkeys(_REDUCTIONS, reduction),
    MaxPool: max_pool,
    AveragePool: average_pool,
    r.ArgMax: arg,
    r.ArgMin: arg,
    r.Softmax: softmax,
    r.LogSoftmax: softmax,
    n.BatchNorm: norm,
    n.InstanceNorm: norm,
    n.LayerNorm: layer_norm,
    n.RmsNorm: rms_norm,
    n.LocalResponseNorm: local_response_norm,
}
