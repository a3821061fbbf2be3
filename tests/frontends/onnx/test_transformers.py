"""What transformers are made of: attention, rotary positions, norms of onnxruntime, equations."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from qcompile.errors import BadModel
from qcompile.frontends.onnx import graph_of
from qcompile.ir.graph import Graph
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.norm import LayerNorm, RmsNorm

node = helper.make_node
Same = Callable[..., Graph]
SOURCE = np.random.default_rng(0)
ROW, PLANE = (SOURCE.standard_normal(s).astype(np.float32) for s in ((8,), (6, 4)))
MASK = np.where(SOURCE.random((6, 6)) < 0.3, -np.inf, SOURCE.standard_normal((6, 6)))
WEIGHTS = {
    "g": ROW, "b": ROW[::-1], "skip": SOURCE.standard_normal((2, 6, 8)).astype(np.float32),
    "w": SOURCE.standard_normal((8, 5)).astype(np.float32), "cos": np.cos(PLANE[:, :2]),
    "sin": np.sin(PLANE[:, :2]), "at": np.array([[3, 1, 0, 5, 4, 4]] * 2),
    "mask": MASK.astype(np.float32),
}  # fmt: skip


def foreigners(graph: Graph) -> list[str]:
    return [n.op_type for n in graph.nodes if isinstance(n, Foreign)]


def model(build, proto: NodeProto, outputs: int = 1, opset: int = 23):
    names = [*proto.output[:outputs]]
    weights = {k: v for k, v in WEIGHTS.items() if k in proto.input}
    made = build([proto], inputs={"x": (2, 6, 8)}, outputs=names, weights=weights, opset=opset)
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


ATTENTIONS = [
    {"q_num_heads": 2, "kv_num_heads": 2},
    {"q_num_heads": 4, "kv_num_heads": 4, "is_causal": 1},
    {"q_num_heads": 2, "kv_num_heads": 2, "scale": 0.3, "softcap": 1.5},
]


@pytest.mark.parametrize("attributes", ATTENTIONS)
@pytest.mark.parametrize("mask", [[], ["mask"]])
def test_attention_of_rows(build, same_as_ort: Same, attributes: dict[str, Any], mask: list[str]):
    proto = node("Attention", ["x", "x", "x", *mask], ["y"], **attributes)
    assert foreigners(same_as_ort(model(build, proto))) == []


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("part", [0, 4])
def test_rotary_positions(build, same_as_ort: Same, interleaved: int, part: int):
    attributes: dict[str, Any] = {
        "num_heads": 2,
        "interleaved": interleaved,
        "rotary_embedding_dim": part,
    }
    proto = node("RotaryEmbedding", ["x", "cos", "sin", "at"], ["y"], **attributes)
    assert foreigners(same_as_ort(model(build, proto))) == []


def test_rotary_positions_of_onnxruntime(build, same_as_ort: Same):
    proto = node(
        "RotaryEmbedding", ["x", "at", "cos", "sin"], ["y"], domain="com.microsoft", num_heads=2
    )
    assert foreigners(same_as_ort(model(build, proto))) == []


SKIPS = [
    ("SkipLayerNormalization", ["x", "skip", "g"], LayerNorm),
    ("SkipLayerNormalization", ["x", "skip", "g", "b", "b"], LayerNorm),
    ("SkipSimplifiedLayerNormalization", ["x", "skip", "g"], RmsNorm),
    ("SkipSimplifiedLayerNormalization", ["x", "skip", "g", "b"], RmsNorm),
]  # fmt: skip


@pytest.mark.parametrize(("op", "inputs", "kind"), SKIPS)
def test_norms_of_sums(build, same_as_ort: Same, op: str, inputs: list[str], kind: type):
    proto = node(op, inputs, ["y", "", "", "sum"], domain="com.microsoft", epsilon=1e-3)
    made = model(build, proto)
    made.graph.output.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, None))
    graph = same_as_ort(made)
    assert kind in {type(n) for n in graph.nodes}


def test_simplified_norms_are_root_mean_square_norms(build, same_as_ort: Same):
    proto = node("SimplifiedLayerNormalization", ["x", "g"], ["y"], epsilon=1e-3)
    graph = same_as_ort(model(build, proto, opset=17))
    assert [type(n) for n in graph.nodes if n.operands] == [RmsNorm]


OTHERS = [
    ("Gelu", ["x"], {}), ("FastGelu", ["x"], {}), ("FastGelu", ["x", "b"], {}),
    ("BiasGelu", ["x", "b"], {}), ("QuickGelu", ["x"], {"alpha": 1.5}),
    ("FusedMatMul", ["x", "w"], {"alpha": 0.5}), ("FusedMatMul", ["x", "x"], {"transB": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("op", "inputs", "attributes"), OTHERS)
def test_small_operators_of_onnxruntime(build, same_as_ort: Same, op: str, inputs, attributes):
    proto = node(op, inputs, ["y"], domain="com.microsoft", **attributes)
    assert foreigners(same_as_ort(model(build, proto), tolerance=1e-3)) == []


EQUATIONS = [
    (("bqd", "bkd", "bqk"), ((2, 3, 4), (2, 5, 4))),
    (("bhqd", "bhkd", "bhqk"), ((2, 3, 4, 5), (2, 3, 6, 5))),
    (("bqhd", "bkhd", "bhqk"), ((2, 4, 3, 5), (2, 6, 3, 5))),
    (("bhqk", "bkhd", "bqhd"), ((2, 3, 4, 6), (2, 6, 3, 5))),
    (("bld", "dhk", "blhk"), ((2, 3, 4), (4, 2, 5))),
    (("blhk", "hkd", "bld"), ((2, 3, 4, 5), (4, 5, 6))),
    (("bln", "bln", "bl"), ((2, 3, 4), (2, 3, 4))),
    (("i", "j", "ij"), ((3,), (4,))),
    (("bld", "dn", "bldn"), ((2, 3, 4), (4, 5))),
    (("bcd", "e", "be"), ((2, 3, 4), (5,))),
    (("...ij", "...jk", "...ik"), ((2, 3, 4, 5), (2, 3, 5, 6))),
    (("...ij", "jk", "...ik"), ((2, 3, 4, 5), (5, 6))),
]


@pytest.mark.parametrize(("terms", "shapes"), EQUATIONS)
def test_products_by_equation(build, same_as_ort: Same, terms, shapes):
    equation = f"{terms[0]},{terms[1]}->{terms[2]}"
    proto = node("Einsum", ["a", "c"], ["y"], equation=equation)
    graph = same_as_ort(build([proto], inputs={"a": shapes[0], "c": shapes[1]}))
    assert foreigners(graph) == []


def test_three_operands_by_equation(build, same_as_ort: Same):
    proto = node("Einsum", ["a", "c", "d"], ["y"], equation="bld,bl,ld->bd")
    shapes = {"a": (2, 3, 4), "c": (2, 3), "d": (3, 4)}
    assert foreigners(same_as_ort(build([proto], inputs=shapes))) == []


@pytest.mark.parametrize("equation", ["ab,bc->ad", "abc,bc->ab", "ab->ab", "ab,bc->aa"])
def test_equations_that_do_not_fit(build, equation: str):
    proto = node("Einsum", ["a", "c"], ["y"], equation=equation)
    with pytest.raises(BadModel):
        graph_of(build([proto], inputs={"a": (2, 3), "c": (3, 4)}))


def loop(op: str) -> NodeProto:
    """h = w·h + x for each row of x, by its own body, which reads w from outside."""
    pair = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (8,)) for n in ("h", "row")]
    body = [node("Mul", ["h", "g"], ["m"]), node("Add", ["m", "row"], ["next"]),
            node("Identity", ["next"], ["out"])]  # fmt: skip
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (8,)) for n in ("next", "out")]
    graph = helper.make_graph(body, "body", pair, results)
    return node(op, ["b", "x"], ["last", "y"], body=graph, num_scan_inputs=1)


def test_a_scan_is_kept_whole_with_what_it_reads_from_outside(build, same_as_ort: Same):
    weights = {"g": ROW, "b": ROW[::-1]}
    made = build([loop("Scan")], inputs={"x": (6, 8)}, outputs=["last", "y"], weights=weights)
    graph = same_as_ort(made)
    assert set(foreigners(graph)) == {"Scan"}


def test_a_loop_is_kept_whole(build, same_as_ort: Same):
    counter = helper.make_tensor_value_info("i", TensorProto.INT64, ())
    go = helper.make_tensor_value_info("go", TensorProto.BOOL, ())
    held = helper.make_tensor_value_info("h", TensorProto.FLOAT, (2, 3))
    body = helper.make_graph(
        [node("Mul", ["h", "x"], ["m"]), node("Identity", ["go"], ["on"])],
        "body",
        [counter, go, held],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, ()),
         helper.make_tensor_value_info("m", TensorProto.FLOAT, (2, 3))],
    )  # fmt: skip
    proto = node("Loop", ["times", "", "x"], ["y"], body=body)
    made = build([proto], inputs={"x": (2, 3)}, weights={"times": np.array(3)})
    assert foreigners(same_as_ort(made)) == ["Loop"]
