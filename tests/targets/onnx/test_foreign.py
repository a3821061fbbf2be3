"""Operators passed through: written back, under new names, in their own version."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import GraphProto, NodeProto, TensorProto, helper

from qcompile.execute.foreign import OrtRunner
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.source import const
from qcompile.ir.types import BOOL, I64, TensorType, f32
from qcompile.targets.onnx import to_onnx
from tests.targets.onnx.checks import near, reals


def _foreign(
    proto: NodeProto,
    xs: dict[str, Node],
    results: tuple[TensorType, ...],
    opset: int,
    domain: str = "",
) -> list[Foreign]:
    runner = OrtRunner()
    opsets = (("", 13), (domain, opset)) if domain else (("", opset),)
    return [
        Foreign(
            proto.op_type, domain, opsets, proto.SerializeToString(), tuple(xs.values()),
            tuple(xs), tuple(proto.output), results, i, runner, name=name,
        )
        for i, name in enumerate(proto.output)
    ]  # fmt: skip


def test_two_results_of_one_operator():
    proto = helper.make_node("TopK", ["in", "k"], ["values", "places"], axis=1)
    x = Relu(reals(3, 9))
    k = _constant(np.array([4]))
    values, places = _foreign(proto, {"in": x, "k": k}, (f32(3, 4), TensorType((3, 4), I64)), 11)
    graph = near(Relu(values), places)
    assert [n.op_type for n in to_onnx(graph).graph.node].count("TopK") == 1


def test_an_operator_that_changed_is_converted():
    proto = helper.make_node("ReduceL1", ["in"], ["sum"], axes=[1], keepdims=0)
    x = reals(3, 9)
    (total,) = _foreign(proto, {"in": x}, (f32(3),), 13)
    softened = helper.make_node("Hardmax", ["in"], ["best"], axis=1)
    (old,) = _foreign(softened, {"in": reals(3, 4, name="z")}, (f32(3, 4),), 11)
    near(total, old)


def test_a_domain_of_its_own():
    proto = helper.make_node("QuickGelu", ["a"], ["b"], domain="com.microsoft", alpha=1.5)
    (gelu,) = _foreign(proto, {"a": reals(3, 9)}, (f32(3, 9),), 1, "com.microsoft")
    model = to_onnx(near(gelu))
    assert {(o.domain, o.version) for o in model.opset_import} == {("", 13), ("com.microsoft", 1)}


@pytest.mark.parametrize("opset", [11, 13, 16])
def test_a_subgraph_that_reads_from_outside(opset: int):
    def branch(kind: str) -> GraphProto:
        out = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [3])
        nodes = [
            helper.make_node(kind, ["outer"], ["t"]),
            helper.make_node("Abs", ["t"], ["hidden"]),
        ]
        return helper.make_graph(nodes, "branch", [], [out])

    proto = helper.make_node(
        "If", ["which"], ["chosen"], then_branch=branch("Neg"), else_branch=branch("Exp")
    )
    x = reals(3)
    flag = _constant(np.array(False))
    assert flag.type.elem == BOOL
    (chosen,) = _foreign(proto, {"which": flag, "outer": Relu(x, name="t")}, (f32(3),), opset)
    near(Relu(chosen, name="hidden"))


def _constant(values: np.ndarray) -> Node:
    return const(values, name="k")
