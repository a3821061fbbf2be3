"""Nodes: typed when built, compared by identity, frozen."""

from dataclasses import FrozenInstanceError

import pytest

from qcompile.errors import TypeMismatch
from qcompile.ir.node import op_name
from qcompile.ir.ops import OPS
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.pointwise import Clip, Relu
from qcompile.ir.ops.pool import MaxPool
from qcompile.ir.ops.shape import Concat, Transpose
from tests.helpers import reals

X, W, B = reals(1, 2, 4, 4), reals(3, 2, 1, 1), reals(3)


def test_operands_come_in_field_order_without_absent_ones():
    assert Conv(X, W).operands == (X, W)
    assert Conv(X, W, B).operands == (X, W, B)
    assert Concat((X, X), 1).operands == (X, X)


def test_attributes_are_the_other_fields():
    assert Clip(X, 0.0).attributes == {"lo": 0.0, "hi": float("inf")}


def test_with_the_same_operands_it_is_itself():
    node = Conv(X, W, B)
    assert node.with_operands([X, W, B]) is node


def test_with_other_operands_it_is_typed_anew():
    wide = reals(1, 2, 8, 8)
    node = Conv(X, W, B, name="c").with_operands([wide, W, B])
    assert (node.operands, node.type.shape, node.name) == ((wide, W, B), (1, 3, 8, 8), "c")


def test_equal_looking_nodes_are_two():
    assert Relu(X) != Relu(X)


def test_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Relu(X).name = "y"  # type: ignore[misc]  # the fault under test


def test_an_ill_typed_node_does_not_exist():
    with pytest.raises(TypeMismatch, match=r"transpose t\(f32\[1, 2, 4, 4\]\): perm"):
        Transpose(X, (0, 1), name="t")


def test_numpys_complaints_become_type_errors_with_the_nodes_picture():
    with pytest.raises(TypeMismatch, match=r"add\(f32\[3\], f32\[1, 2, 4, 4\]\): lengths"):
        Add(B, X)


def test_names_in_text_are_snake_case_and_lead_back():
    assert op_name(MaxPool) == "max_pool"
    assert OPS["max_pool"] is MaxPool
