"""onnxruntime's attentions, in parts, against onnxruntime."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from qcompile.ir.graph import Graph
from qcompile.ir.ops.foreign import Foreign

Same = Callable[..., Graph]
SOURCE = np.random.default_rng(3)
TOKENS, WIDTH = 6, 16


def real(*shape: int) -> Any:
    return SOURCE.standard_normal(shape).astype(np.float32)


ANGLES = np.outer(np.arange(10), 10.0 ** -np.arange(8)).astype(np.float32)
WEIGHTS: Mapping[str, Any] = {
    "w": real(WIDTH, 3 * WIDTH), "b": real(3 * WIDTH), "bias": real(2, 2, TOKENS, TOKENS),
    "ends": np.array([4, 6], np.int32), "keys": np.array([[1, 1, 1, 1, 0, 0], [1] * 6], np.int32),
    "rows": np.tril(np.ones((2, TOKENS, TOKENS), np.int32)), "past": real(2, 2, 2, 3, 8),
    "old": real(2, 2, 3, 8), "wide": real(2, 2, TOKENS, TOKENS + 3), "cos": np.cos(ANGLES),
    "sin": np.sin(ANGLES), "last": np.array([5, 5], np.int32), "total": np.array(6, np.int32),
    "q": real(WIDTH, 2 * WIDTH), "none": real(2, 1, 0, WIDTH),
}  # fmt: skip


def foreigners(graph: Graph) -> list[str]:
    return [n.op_type for n in graph.nodes if isinstance(n, Foreign)]


def model(build: Callable[..., Any], op: str, inputs: list[str], outputs: int, **attributes: Any):
    names = ["y", "k", "v"][:outputs]
    proto = helper.make_node(op, inputs, names, domain="com.microsoft", **attributes)
    weights = {name: WEIGHTS[name] for name in inputs if name in WEIGHTS}
    shapes = {"x": (2, TOKENS, WIDTH)}
    made = build([proto], inputs=shapes, outputs=names, weights=weights)
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


PROJECTED: list[tuple[list[str], int, dict[str, Any]]] = [
    (["x", "w", "b"], 1, {}),
    (["x", "w", "b"], 2, {}),
    (["x", "w", "b", "ends"], 1, {}),
    (["x", "w", "b", "keys"], 1, {"scale": 0.3}),
    (["x", "w", "b", "rows"], 1, {}),
    (["x", "w", "b"], 1, {"unidirectional": 1}),
    (["x", "w", "b", "", "past"], 2, {"unidirectional": 1}),
    (["x", "w", "b", "", "", "bias"], 1, {}),
]


@pytest.mark.parametrize(("inputs", "outputs", "attributes"), PROJECTED)
def test_attention_with_its_projections(
    build: Any, same_as_ort: Same, inputs: list[str], outputs: int, attributes: dict[str, Any]
):
    made = model(build, "Attention", inputs, outputs, num_heads=2, **attributes)
    assert foreigners(same_as_ort(made)) == []


APART: list[tuple[list[str], int, dict[str, Any]]] = [
    (["x", "x", "x"], 1, {}),
    (["x", "x", "x", "b"], 3, {"scale": 0.3}),
    (["x", "x", "x", "", "keys"], 1, {"mask_filter_value": -500.0}),
    (["x", "x", "x", "", "ends"], 1, {}),
    (["x", "x", "x", "", "", "bias"], 1, {"unidirectional": 1}),
    (["x", "x", "x", "", "", "", "old", "old"], 3, {}),
    (["x", "x", "x", "", "", "wide", "old", "old"], 3, {}),
]


@pytest.mark.parametrize(("inputs", "outputs", "attributes"), APART)
def test_attention_of_several_heads(
    build: Any, same_as_ort: Same, inputs: list[str], outputs: int, attributes: dict[str, Any]
):
    made = model(build, "MultiHeadAttention", inputs, outputs, num_heads=2, **attributes)
    assert foreigners(same_as_ort(made)) == []


LAST = ["last", "total"]
PROMPTS: list[tuple[list[str], dict[str, Any]]] = [
    (["q", "x", "x", "", "", *LAST], {}),
    (["q", "x", "x", "none", "none", *LAST], {"softcap": 2.0}),
    (["q", "x", "x", "", "", *LAST], {"local_window_size": 3, "scale": 0.4}),
    (["q", "x", "x", "", "", *LAST, "cos", "sin"], {"do_rotary": 1}),
    (["q", "x", "x", "", "", *LAST, "cos", "sin"], {"do_rotary": 1, "rotary_interleaved": 1}),
]


@pytest.mark.parametrize(("inputs", "attributes"), PROMPTS)
def test_attention_of_groups_over_a_prompt(
    build: Any, same_as_ort: Same, inputs: list[str], attributes: dict[str, Any]
):
    made = model(build, "GroupQueryAttention", inputs, 3, num_heads=2, kv_num_heads=1, **attributes)
    made.graph.node[0].input[0] = "queries"
    made.graph.node.insert(0, helper.make_node("MatMul", ["x", "q"], ["queries"]))
    assert foreigners(same_as_ort(made)) == []


def test_embeddings_of_three_tables(build: Any, same_as_ort: Same):
    weights = {name: real(9, WIDTH) for name in ("words", "places", "segments")}
    weights |= {"g": real(WIDTH), "c": real(WIDTH)}
    inputs = ["ids", "kinds", "words", "places", "segments", "g", "c", "mask"]
    embed = helper.make_node(
        "EmbedLayerNormalization", inputs, ["y", "count"], domain="com.microsoft"
    )
    natural = [helper.make_node("Abs", [f"±{name}"], [name]) for name in ("ids", "kinds")]
    natural += [helper.make_node("Cast", ["±mask"], ["some"], to=TensorProto.BOOL),
                helper.make_node("Cast", ["some"], ["mask"], to=TensorProto.INT32)]  # fmt: skip
    shapes = {f"±{name}": (2, TOKENS) for name in ("ids", "kinds", "mask")}
    made = build([*natural, embed], inputs=shapes, outputs=["y", "count"], weights=weights,
                 code=TensorProto.INT32)  # fmt: skip
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert foreigners(same_as_ort(made)) == []


BLOCKS = [(4, 16, False), (4, 16, True), (8, 32, False), (4, 32, True)]


@pytest.mark.parametrize(("bits", "size", "zeros"), BLOCKS)
def test_weights_in_blocks(build: Any, same_as_ort: Same, bits: int, size: int, zeros: bool):
    rows, length = 5, 80
    count = -(-length // size)
    packed = SOURCE.integers(0, 256, (rows, count, size * bits // 8)).astype(np.uint8)
    own = SOURCE.integers(0, 256, rows * -(-count * bits // 8)).astype(np.uint8)
    weights = {"q": packed, "s": real(rows * count)} | ({"z": own} if zeros else {})
    names = ["x", "q", "s", *(["z"] if zeros else [])]
    proto = helper.make_node("MatMulNBits", names, ["y"], domain="com.microsoft", K=length, N=rows,
                             bits=bits, block_size=size)  # fmt: skip
    made = build([proto], inputs={"x": (2, 3, length)}, weights=weights)
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert foreigners(same_as_ort(made)) == []
