"""Convolutions, pools and resizing in every form of padding, against onnxruntime."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from qcompile.frontends.onnx import graph_of
from qcompile.ir.graph import Graph
from qcompile.ir.ops.foreign import Foreign

node = helper.make_node
Same = Callable[..., Graph]
PADS = ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Any]:
    n = draw(st.integers(1, 3))
    small = st.integers(1, 3)
    pads = draw(st.sampled_from(PADS))
    found: dict[str, Any] = {
        "kernel_shape": draw(st.lists(small, min_size=n, max_size=n)),
        "strides": draw(st.lists(small, min_size=n, max_size=n)),
        "dilations": draw(st.lists(st.integers(1, 2), min_size=n, max_size=n)),
        "auto_pad": pads,
    }
    if pads == "NOTSET":
        found["pads"] = [draw(st.integers(0, k - 1)) for k in found["kernel_shape"] * 2]
    if pads.startswith("SAME"):  # onnxruntime's pools take no windows with gaps between them
        found["dilations"] = [1] * n
        found["strides"] = [
            min(s, k) for s, k in zip(found["strides"], found["kernel_shape"], strict=True)
        ]
    return found


def lengths(window: dict[str, Any]) -> list[int]:
    return [9, 7, 6][: len(window["kernel_shape"])]


@pytest.fixture(scope="session")
def native(same_as_ort: Same) -> Same:
    def check(model: Any, **options: Any) -> Graph:
        graph = same_as_ort(model, **options)
        assert not any(isinstance(n, Foreign) for n in graph.nodes)
        return graph

    return check


quick = settings(max_examples=40, deadline=None, derandomize=True)


@quick
@given(window=windows(), groups=st.sampled_from([1, 2, 4]), each=st.integers(1, 2))
def test_conv(build, native: Same, window: dict, groups: int, each: int) -> None:
    w = np.random.default_rng(3).standard_normal(
        (groups * each, 4 // groups, *window["kernel_shape"])
    )
    weights = {"w": w.astype(np.float32), "b": np.arange(groups * each, dtype=np.float32)}
    proto = node("Conv", ["x", "w", "b"], ["y"], group=groups, **window)
    native(build([proto], inputs={"x": (2, 4, *lengths(window))}, weights=weights))


@quick
@given(window=windows(), groups=st.sampled_from([1, 2]), extra=st.integers(0, 1))
def test_conv_transpose(build, native: Same, window: dict, groups: int, extra: int) -> None:
    strides = [max(s, 2) for s in window["strides"]]
    w = np.random.default_rng(3).standard_normal((4, 3, *window["kernel_shape"]))
    form: dict[str, Any] = window | {"strides": strides, "output_padding": [extra] * len(strides)}
    proto = node("ConvTranspose", ["x", "w"], ["y"], group=groups, **form)
    spatial = lengths(window)
    native(build([proto], inputs={"x": (1, 4, *spatial)}, weights={"w": w.astype(np.float32)}))


@quick
@given(window=windows(), ceil=st.booleans(), op=st.sampled_from(["MaxPool", "AveragePool"]))
def test_pools(build, native: Same, window: dict, ceil: bool, op: str) -> None:
    form: dict[str, Any] = window | {"ceil_mode": int(ceil and window["auto_pad"] == "NOTSET")}
    native(
        build([node(op, ["x"], ["y"], **form)], inputs={"x": (2, 3, *lengths(window))}, opset=19)
    )


@quick
@given(window=windows(), ceil=st.booleans())
def test_average_that_counts_the_border(build, native: Same, window: dict, ceil: bool) -> None:
    form: dict[str, Any] = window | {
        "ceil_mode": int(ceil and window["auto_pad"] == "NOTSET"),
        "count_include_pad": 1,
    }
    proto = node("AveragePool", ["x"], ["y"], **form)
    native(build([proto], inputs={"x": (2, 3, *lengths(window))}, opset=19))


RULES = ["half_pixel", "asymmetric", "pytorch_half_pixel", "align_corners", "half_pixel_symmetric"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("to", [(8, 14), (7, 5), (1, 3), (5, 9)], ids=str)
def test_resize_to_sizes(build, native: Same, rule: str, mode: str, to: tuple) -> None:
    proto = node(
        "Resize", ["x", "", "", "to"], ["y"], mode=mode, coordinate_transformation_mode=rule
    )
    weights = {"to": np.array([1, 2, *to])}
    native(build([proto], inputs={"x": (1, 2, 4, 7)}, weights=weights, opset=19))


@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
@pytest.mark.parametrize("scale", [2.0, 0.5, 1.7, 3.0])
def test_resize_by_scales(build, native: Same, rounding: str, scale: float) -> None:
    form: dict[str, Any] = {"mode": "nearest", "nearest_mode": rounding}
    proto = node("Resize", ["x", "", "s"], ["y"], **form)
    weights = {"s": np.array([1, 1, scale, 1.5], np.float32)}
    native(build([proto], inputs={"x": (1, 2, 4, 7)}, weights=weights, opset=19))


@pytest.mark.parametrize("form", [{"transA": 1}, {"transB": 1, "alpha": 0.5}, {"beta": 2.0}])
@pytest.mark.parametrize("bias", [(4,), (1, 4), (3, 4), (), (3, 1)], ids=str)
def test_gemm(build, native: Same, form: dict, bias: tuple) -> None:
    source = np.random.default_rng(5)
    shape = (4, 5) if "transB" in form else (5, 4)
    weights = {"w": source.standard_normal(shape), "c": source.standard_normal(bias)}
    left = (5, 3) if "transA" in form else (3, 5)
    proto = node("Gemm", ["x", "w", "c"], ["y"], **form)
    weights = {k: np.asarray(v, np.float32) for k, v in weights.items()}
    native(build([proto], inputs={"x": left}, weights=weights))


@pytest.mark.parametrize(
    ("a", "b"), [((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((5, 2, 3), (3,)), ((3,), (5, 3, 2))]
)
def test_products_of_vectors(build, native: Same, a: tuple, b: tuple) -> None:
    native(build([node("MatMul", ["x", "w"], ["y"])], inputs={"x": a, "w": b}))


def test_a_bias_matrix_is_added_after(build) -> None:
    weights = {"w": np.ones((2, 3), np.float32), "c": np.ones((4, 3), np.float32)}
    graph = graph_of(
        build([node("Gemm", ["x", "w", "c"], ["y"])], inputs={"x": (4, 2)}, weights=weights)
    )
    assert [n.op for n in graph.nodes] == ["input", "const", "mat_mul", "const", "add"]
