"""The integer form of each operation; True when it has one for these operands."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from qcompile.calibrate.units import SMALLEST_SCALE
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Minimum, Mul, Sub
from qcompile.ir.ops.integer import Lut, softmax_integer
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.pointwise import Clip, Relu
from qcompile.ir.ops.quant import FakeQuant
from qcompile.ir.ops.reduce import Softmax
from qcompile.ir.ops.shape import Concat
from qcompile.ir.ops.source import Const, const
from qcompile.ir.unit import Affine, per_tensor
from qcompile.numerics.exact import INT32_MAX
from qcompile.passes.forms import SUM_BITS, WIDE_LIMIT, Form, Forms, byte_step
from qcompile.passes.integer_concat import concat_form, split_contraction
from qcompile.passes.roles import Role, activations, role
from qcompile.passes.weights import accumulator_bias

SOFTMAX_STEP = 32768.0  # one step of a coarser scale decides alone; its multiplier has no room


def integer_form(node: Node, forms: Forms) -> bool:
    """Puts the node's integer form; False when it must stay float."""
    match role(node):
        case Role.ACCUMULATE:
            return _multiply(node, forms) if isinstance(node, Mul) else _accumulate(node, forms)
        case Role.ADD if isinstance(node, Add | Sub):
            return _add(node, forms)
        case Role.CLAMP:
            return _hold(node, forms) if isinstance(node, Minimum) else _clamp(node, forms)
        case Role.TABLE:
            return _table(node, forms)
        case Role.MOVE:
            return concat_form(node, forms) if isinstance(node, Concat) else _move(node, forms)
        case Role.ORDER:
            return _order(node, forms)
        case _:
            return False


def _accumulate(node: Node, forms: Forms) -> bool:
    if split_contraction(node, forms):
        return True
    operands: dict[Node, Node] = {}
    for operand in activations(node):
        value = forms.narrow(operand)
        if value is None:
            return False
        operands[operand] = value
    match node:
        case Conv(w=FakeQuant() as w) | ConvTranspose(w=FakeQuant() as w):
            operands[w] = _integers(w, forms)
        case MatMul():
            operands |= {o: _integers(o, forms) for o in node.operands if _is_weight(o)}
        case Conv() | ConvTranspose():
            return False
        case _:
            pass
    return _build_sum(node, operands, forms)


def _build_sum(node: Node, operands: dict[Node, Node], forms: Forms) -> bool:
    bias = getattr(node, "bias", None)
    if not isinstance(node, Conv | ConvTranspose | MatMul) or bias is None:
        if any(o not in operands for o in node.operands):
            return False
        return _accept(node, node.with_operands(operands[o] for o in node.operands), forms)
    rest = [o for o in node.operands if o is not bias]
    if not isinstance(bias, Const) or any(o not in operands for o in rest):
        return False
    bare = node.replace(bias=None).with_operands(operands[o] for o in rest)
    unit = bare.type.unit
    assert unit is not None
    return _accept(node, bare.replace(bias=accumulator_bias(bias, unit)), forms)


def _accept(node: Node, value: Node, forms: Forms) -> bool:
    """Only a sum that provably fits 32 bits becomes integers."""
    if forms.bounds.magnitude(value) > INT32_MAX:
        return False
    forms.put(node, Form(value))
    return True


def _multiply(node: Mul, forms: Forms) -> bool:
    a = forms.narrow(node.a)
    b = _constant_factor(node.b) if isinstance(node.b, Const) else forms.narrow(node.b)
    if a is None or b is None:
        return False
    return _accept(node, node.with_operands((a, b)), forms)


def _constant_factor(c: Const) -> Const | None:
    """A constant in 16 bits, symmetric; None when it holds NaN or infinity."""
    values = c.array.astype(np.float64)
    if not np.isfinite(values).all():
        return None
    scale = max(float(np.float32(np.abs(values).max(initial=0) / 32767)), SMALLEST_SCALE)
    steps = np.rint(values / scale).astype(np.int16)
    return const(steps, unit=per_tensor(scale), name=c.name)


def _add(node: Add | Sub, forms: Forms) -> bool:
    unit = _sum_unit(node, forms)
    if unit is None:
        return False
    terms = [_term(o, unit, forms) for o in (node.a, node.b)]
    if terms[0] is None or terms[1] is None:
        return False
    forms.put(node, Form(node.with_operands((terms[0], terms[1]))))
    return True


def _term(operand: Node, unit: Affine, forms: Forms) -> Node | None:
    if not isinstance(operand, Const):
        return forms.wide(operand, unit)
    steps = np.rint(operand.array.astype(np.float64) / unit.scale[0])
    held = np.clip(steps, -WIDE_LIMIT, WIDE_LIMIT).astype(np.int32)
    return const(held, unit=unit, name=operand.name)


def _sum_unit(node: Add | Sub, forms: Forms) -> Affine | None:
    """2^-19 of the result's step times a power of two that covers the operands' steps.

    A sum whose range was not observed is fine enough for the greatest value it can take.
    """
    found = [forms.form(o) for o in (node.a, node.b) if not isinstance(o, Const)]
    if not found or any(f is None for f in found):
        return None
    target = _behind(node, forms)
    if target is None:
        reach = sum(forms.reach(f) for f in found if f is not None)
        reach += sum(float(np.abs(o.array).max()) for o in (node.a, node.b) if isinstance(o, Const))
        return per_tensor(max(reach, 1e-30) / WIDE_LIMIT)
    integers = [f.integer for f in found if f is not None]
    narrow = [
        byte_step(i.type.elem, i.type.unit)
        for i in integers
        if i.type.elem.bits <= 16 and i.type.unit is not None
    ]
    ratio = max([1.0, *(s / target for s in narrow)])
    return per_tensor(target * 2.0 ** (math.ceil(math.log2(ratio)) - SUM_BITS))


def _behind(node: Node, forms: Forms) -> float | None:
    """The step of the marker behind a sum and its bounds, as if it had 8 bits."""
    users = forms.graph.users[node]
    while len(users) == 1 and isinstance(users[0], Relu | Clip | Minimum):
        users = forms.graph.users[users[0]]
    scales = [byte_step(u.elem, u.unit) for u in users if isinstance(u, FakeQuant)]
    return min(scales) if scales else None


def _hold(node: Minimum, forms: Forms) -> bool:
    """A bound for each channel."""
    form = forms.form(node.a)
    if form is None or form.caps is not None or not isinstance(node.b, Const):
        return False
    forms.put(node, replace(form, caps=node.b))
    return True


def _clamp(node: Node, forms: Forms) -> bool:
    if not isinstance(node, Relu | Clip):
        return False
    form = forms.form(node.x)
    if form is None or form.caps is not None:
        return False
    lo, hi = (0.0, math.inf) if isinstance(node, Relu) else (node.lo, node.hi)
    low = min(max(form.lo, lo), hi)
    forms.put(node, Form(form.integer, low, max(min(form.hi, hi), low)))
    return True


def _table(node: Node, forms: Forms) -> bool:
    """The operation itself, run on every value that its operand can take."""
    x = activations(node)[0]
    source = forms.narrow(x)
    if source is None or source.type.unit is None:
        return False
    elem, unit = source.type.elem, source.type.unit
    steps = np.arange(elem.lo, elem.hi + 1, dtype=np.int64) - unit.zero_point[0]
    reals = (steps * unit.scale[0]).astype(np.float32)
    marks = [u for u in forms.graph.users[node] if isinstance(u, FakeQuant)]
    values = _apply(node, x, reals).astype(np.float64)
    if not np.isfinite(values).all():
        return False
    table = _tabled(values, marks[0] if len(marks) == 1 else None)
    forms.put(node, Form(Lut(source, table, name=node.name)))
    return True


def _apply(node: Node, x: Node, reals: np.ndarray) -> np.ndarray:  # pyright: ignore
    """The node on a vector in place of its operand."""
    probe = const(reals, name="probe")
    others = [const(o.array.reshape(-1)) if isinstance(o, Const) else probe for o in node.operands]
    return node.with_operands(others).evaluate(*(o.array for o in others))


def _tabled(values: np.ndarray, mark: FakeQuant | None) -> Const:  # pyright: ignore
    if mark is None:
        scale = max(float(np.abs(values).max()) / WIDE_LIMIT, SMALLEST_SCALE)
        return const(np.rint(values / scale).astype(np.int32), unit=per_tensor(scale))
    elem, unit = mark.elem, mark.unit
    steps = np.rint(values / unit.scale[0]) + unit.zero_point[0]
    held = np.clip(steps, elem.lo, elem.hi).astype(elem.storage)
    return const(held, elem=elem, unit=unit)


def _move(node: Node, forms: Forms) -> bool:
    (x,) = activations(node)
    source = forms.even(x)
    if source is None:
        return False
    moved = (source if o is x else o for o in node.operands)
    forms.put(node, Form(node.with_operands(moved)))
    return True


def _order(node: Node, forms: Forms) -> bool:
    (x,) = activations(node)
    source = forms.even(x)
    if source is None:
        return False
    unit = source.type.unit
    if isinstance(node, Softmax) and unit is not None and unit.scale[0] > SOFTMAX_STEP:
        return False
    if isinstance(node, Softmax):
        forms.put(node, Form(softmax_integer(source, node.axis, name=node.name)))
    else:
        forms.put_real(node, node.with_operands((source,)))
    return True


def _is_weight(node: Node) -> bool:
    return isinstance(node, FakeQuant) and isinstance(node.x, Const)


def _integers(node: Node, forms: Forms) -> Node:
    form = forms.form(node)
    assert form is not None
    return form.integer
