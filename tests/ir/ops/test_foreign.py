"""Foreign operators: typed from outside, run by the runner, closed to integers."""

from typing import Any

import numpy as np
import pytest

from qcompile.errors import TypeMismatch
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.types import I8, Array, f32
from qcompile.ir.unit import per_tensor
from tests.helpers import integers, reals, value


def twice_and_thrice(node: Foreign, operands: tuple[Array, ...]) -> tuple[Array, ...]:
    x: Any = operands[0]
    return 2 * x, 3 * x


def odd(x: Node) -> Foreign:
    return Foreign(
        "Odd", "com.x", (("com.x", 1),), b"", (x,), ("x",), ("a", "b"), (f32(4), f32(4)), 1,
        twice_and_thrice,
    )  # fmt: skip


def test_gives_the_result_of_its_index():
    np.testing.assert_array_equal(value(odd(reals(4))), 3 * value(reals(4)))
    assert odd(reals(4)).type == f32(4)


def test_is_called_by_its_domain():
    assert odd(reals(4)).title == "com.x::Odd"


def test_refuses_quantized_values():
    with pytest.raises(TypeMismatch, match="takes no quantized values"):
        odd(integers(4, elem=I8, unit=per_tensor(1.0)))
