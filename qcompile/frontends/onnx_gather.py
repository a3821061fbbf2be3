"""Look-ups by vectors of indices, and along one axis."""

from __future__ import annotations

from qcompile.frontends.looking_up import look_up_along, look_up_rows
from qcompile.frontends.onnx_call import Call, Opaque, Translator, axis_of
from qcompile.ir.node import Node


def _gather_nd(call: Call) -> Node:
    return _known(look_up_rows(call.x(0), call.x(1), call.integer("batch_dims", 0)))


def _gather_elements(call: Call) -> Node:
    x = call.x(0)
    return _known(look_up_along(x, call.x(1), axis_of(call, call.integer("axis", 0), x.type.rank)))


def _known(found: Node | None) -> Node:
    if found is None:
        raise Opaque("looks up along open lengths")
    return found


GATHER: dict[str, Translator] = {"GatherElements": _gather_elements, "GatherND": _gather_nd}
