"""explain of passes that act at sites."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture
def gated(tmp_path):
    """down(up(x) · silu(gate(x))) as an ONNX file."""
    rng = np.random.default_rng(0)
    shapes = {"up": (6, 8), "gate": (6, 8), "down": (8, 6)}
    weights = [
        numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in shapes.items()
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "up"], ["u"], name="u"),
        helper.make_node("MatMul", ["x", "gate"], ["g"], name="g"),
        helper.make_node("Sigmoid", ["g"], ["s"], name="s"),
        helper.make_node("Mul", ["g", "s"], ["a"], name="a"),
        helper.make_node("Mul", ["u", "a"], ["h"], name="h"),
        helper.make_node("MatMul", ["h", "down"], ["y"], name="y"),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4, 6]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "gated", ends[:1], ends[1:], weights)
    path = tmp_path / "gated.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    path.write_bytes(model.SerializeToString())
    return path


def explained(qcompile, path, name: str) -> list[dict]:
    return json.loads(qcompile("explain", path, "--pass", name, "--json").out)["sites"]


def test_smoothing_finds_both_ways_into_a_gated_value(qcompile, gated):
    sites = [s for s in explained(qcompile, gated, "smooth") if s["kind"] == "scaling"]
    assert [site["absorbs"] for site in sites] == [
        ["up[1] ^ -1", "down[0] ^ 1"],
        ["gate[1] ^ -1", "a.scale[0] ^ 1", "down[0] ^ 1"],
    ]


def test_smoothing_tells_where_no_shift_acts_and_why(qcompile, gated):
    found = explained(qcompile, gated, "smooth")
    fixed = {site["site"]: site["blocked_by"] for site in found if site["kind"] == "unshifted"}
    assert fixed["x"] == ["x: it is the graph's input x"]
    assert "h: mul is taken of each index apart" in fixed["h"]


def test_rotation_is_refused_behind_a_gate_with_the_reason(qcompile, gated):
    refused = [site for site in explained(qcompile, gated, "rotate") if site["kind"] == "refused"]
    assert refused
    assert all(site["blocked_by"] for site in refused)


def test_a_transform_at_run_time_has_its_price(qcompile, gated):
    (before_down, *_) = [
        site for site in explained(qcompile, gated, "rotate-online") if site["site"] == "h"
    ]
    assert (before_down["role"], before_down["adds"]) == ("R4", 8 * 3)


def test_the_table_names_what_blocks(qcompile, gated):
    told = qcompile("explain", gated, "--pass", "rotate").out
    assert "is refused: " in told
