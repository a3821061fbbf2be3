"""Tables that are looked up, of embeddings say: rows of 8-bit integers, a scale for each row.

    y = float(q[i]) · s[i]        one float32 product, so equal rows give equal bits everywhere

A quarter of the bytes for a 250th of a row's greatest value at most.
"""

from __future__ import annotations

from typing import TypeGuard

import numpy as np

from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Mul
from qcompile.ir.ops.quant import ONE, Dequantize, FakeQuant, Observe
from qcompile.ir.ops.shape import Gather
from qcompile.ir.ops.source import Const, const
from qcompile.ir.types import F32
from qcompile.passes.forms import Forms
from qcompile.passes.recipe import Recipe

LARGE = 1 << 18  # elements: a megabyte; in smaller tables there is little to gain
BITS = 8


def mark_table(node: Node, recipe: Recipe) -> Node:
    """A lookup with its table observed; itself where that is small, or not a matrix of reals."""
    match node:
        case Gather(x=Const() as table, indices=indices, axis=0) if not isinstance(indices, Const):
            pass
        case _:
            return node
    if table.type.elem != F32 or table.type.rank != 2 or table.data.size < LARGE:
        return node
    if recipe.excludes(node):
        return node
    return node.replace(x=Observe(table, recipe.weight_of(BITS, 0), name=f"{table.name}.range"))


def is_lookup(node: Node) -> TypeGuard[Gather]:
    """A lookup in a table with a scale for each row."""
    match node:
        case Gather(x=FakeQuant(x=Const(), unit=unit), axis=0):
            return unit.axis == 0
        case _:
            return False


def looked_up(node: Gather, forms: Forms) -> Node:
    """The rows as integers, then in reals."""
    table, form = node.x, forms.form(node.x)
    assert isinstance(table, FakeQuant)
    assert form is not None
    assert isinstance(form.integer, Const)
    rows = Const(form.integer.data, table.elem, ONE, name=form.integer.name)
    scales = const(np.array(table.unit.scale, np.float32)[:, None], name=f"{rows.name}.scale")
    found = Dequantize(Gather(rows, node.indices, 0, name=f"{node.name}.rows"))
    return Mul(found, Gather(scales, node.indices, 0, name=f"{node.name}.scale"), name=node.name)
