"""Concats whose parts have ranges of their own: kept apart where the consumer allows it."""

from __future__ import annotations

from functools import reduce

import numpy as np

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.integer import Requantize, requantize
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.quant import FakeQuant
from qcompile.ir.ops.shape import Concat, Slice
from qcompile.ir.ops.source import Const
from qcompile.ir.types import I32
from qcompile.ir.unit import Affine, per_tensor
from qcompile.passes.fold_constants import promise
from qcompile.passes.forms import (
    SUM_BITS,
    WIDE_LIMIT,
    Form,
    Forms,
    byte_step,
    narrowed,
    wide_step,
    widened,
)
from qcompile.passes.weights import accumulator_bias


def concat_form(node: Concat, forms: Forms) -> bool:
    """Equal units join as they are, others as one unit per part, or at the coarsest unit.

    Parts stay apart when only outputs and splittable convolutions read them.
    """
    parts = [forms.even(x) for x in node.xs]
    values = [p for p in parts if p is not None]
    if len(values) != len(parts):
        return False
    units = [v.type.unit for v in values]
    same_elem = all(v.type.elem == values[0].type.elem for v in values)
    if same_elem and (all(u == units[0] for u in units) or stays_apart(node, forms)):
        forms.put(node, Form(Concat(tuple(values), node.axis, name=node.name)))
        return True
    forms.put(node, Form(Concat(_joined(values, forms), node.axis, name=node.name)))
    return True


def stays_apart(node: Concat, forms: Forms) -> bool:
    """Every reader is an output or a convolution over the joined channels."""
    return all(
        isinstance(user, Conv) and node.axis == 1 and user.groups == 1 and user.x is node
        for user in forms.graph.users[node]
    )


def _joined(values: list[Node], forms: Forms) -> tuple[Node, ...]:
    """All parts requantized to one unit that holds each of them; the finest that does, in i32."""
    elem = values[0].type.elem
    if any(v.type.elem != elem for v in values) or elem.bits > 16:
        common = per_tensor(max(wide_step(forms.bounds.real(v)) for v in values))
        return tuple(widened(Form(v), common, v.name) for v in values)
    lows, highs = zip(*(_extent(v) for v in values), strict=True)
    lo, hi = min(lows), max(highs)
    scale = float(np.float32((hi - lo) / (elem.hi - elem.lo)))
    zero = min(max(elem.lo + round(-lo / scale), elem.lo), elem.hi)
    unit = per_tensor(scale, zero)
    return tuple(v if v.type.unit == unit else _rescaled(v, unit) for v in values)


def _rescaled(value: Node, unit: Affine) -> Node:
    """To another unit; a value that was just requantized goes there in one step.

    The bounds go with it, those of the element too: a ReLU may be nothing but saturation at 0.
    """
    elem = value.type.elem
    if not isinstance(value, Requantize):
        return requantize(value, elem, unit, name=value.name)
    zero, scale = value.unit.zero_point[0], value.unit.scale[0]
    form = Form(value.x, (value.lo - zero) * scale, (value.hi - zero) * scale)
    return narrowed(form, elem, unit, value.name)


def _extent(value: Node) -> tuple[float, float]:
    unit, elem = value.type.unit, value.type.elem
    assert unit is not None
    zero, scale = unit.zero_point[0], unit.scale[0]
    return (elem.lo - zero) * scale, (elem.hi - zero) * scale


def split_contraction(node: Node, forms: Forms) -> bool:
    """conv(concat(a, b), w) → conv(a, w_a) + conv(b, w_b) when a and b kept their own units."""
    match node:
        case Conv(x=Concat() as joined, w=FakeQuant() as marked, groups=1):
            form, weight = forms.form(joined), forms.form(marked)
        case _:
            return False
    if form is None or weight is None or not isinstance(form.integer, Concat):
        return False
    unit = form.integer.type.unit
    if unit is None or unit.per_tensor or not isinstance(weight.integer, Const):
        return False
    sums = _partial_sums(node, form.integer, weight.integer)
    target = _target(node, forms)
    reach = sum(forms.bounds.real(s) for s in sums)
    fine = reach / WIDE_LIMIT if target is None else target * 2.0**-SUM_BITS
    common = per_tensor(max(fine, 1e-30))
    terms: list[Node] = [
        requantize(s, I32, common, lo=-WIDE_LIMIT // 4, hi=WIDE_LIMIT // 4, name=s.name)
        for s in sums
    ]
    total = reduce(lambda a, b: Add(a, b, name=node.name), terms)
    forms.put(node, Form(total))
    return True


def _partial_sums(node: Conv, joined: Concat, w: Const) -> list[Conv]:
    start, sums = 0, list[Conv]()
    for i, part in enumerate(joined.xs):
        stop = start + static(part.type.shape)[1]
        cut = Slice(w, (1,), (start,), (stop,), (1,))
        name = f"{node.name}.part{i}"
        own = Const(promise(cut), w.elem, w.unit, name=f"{w.name}.part{i}")
        bare = node.replace(x=part, w=own, bias=None, name=name)
        if i == 0 and isinstance(node.bias, Const):
            assert bare.type.unit is not None
            bare = bare.replace(bias=accumulator_bias(node.bias, bare.type.unit))
        sums.append(bare)
        start = stop
    return sums


def _target(node: Node, forms: Forms) -> float | None:
    scales = [
        byte_step(u.elem, u.unit)
        for user in forms.graph.users[node]
        for u in (user, *forms.graph.users[user])
        if isinstance(u, FakeQuant)
    ]
    return min(scales) if scales else None
