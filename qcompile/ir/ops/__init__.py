"""All operations, by their name in text."""

from __future__ import annotations

from qcompile.ir.node import Node, op_name
from qcompile.ir.ops import (
    binary,
    foreign,
    hadamard,
    integer,
    linear,
    norm,
    pointwise,
    pool,
    quant,
    reduce,
    resize,
    shape,
    source,
)

_MODULES = (
    source, linear, hadamard, pointwise, binary, shape, resize, pool, reduce, norm, quant, integer,
    foreign,
)  # fmt: skip
_ABSTRACT = {
    "unary",
    "binary",
    "additive",
    "extreme",
    "comparison",
    "reduction",
    "summation",
    "extremum",
    "along_axis",
    "arg",
}


def _all() -> dict[str, type[Node]]:
    found: dict[str, type[Node]] = {}
    for module in _MODULES:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Node) and value is not Node:
                found[op_name(value)] = value
    return {name: cls for name, cls in sorted(found.items()) if name not in _ABSTRACT}


OPS: dict[str, type[Node]] = _all()
