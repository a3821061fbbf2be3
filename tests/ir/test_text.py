"""Text and back: what is printed is read again, and what is wrong is said with its line."""
# ruff: noqa: E501  the texts stand as they are printed

from textwrap import dedent

import numpy as np
import pytest
from hypothesis import given, settings

from qcompile.errors import BadModel, TypeMismatch, UsageError
from qcompile.ir.blob import blob
from qcompile.ir.dims import Symbol
from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.pointwise import Clip, Relu
from qcompile.ir.ops.source import Input, const
from qcompile.ir.parse import parse, parse_type
from qcompile.ir.text import blobs, dump
from qcompile.ir.types import F32, I8, U8, Scalar, TensorType, f32
from qcompile.ir.unit import Affine, per_tensor
from tests.helpers import assert_same_meaning
from tests.strategies import graphs


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_any_graph_reads_back_as_the_same_text_and_the_same_function(graph: Graph):
    text = dump(graph)
    again = parse(text, blobs(graph))
    assert dump(again) == text
    assert_same_meaning(graph, again, within=0)


ROUND_TRIPS = {
    "a quantized network": """
        def net(x: f32[1, 3]):
            q1: u8[1, 3] @ q(0.02, 3) = quantize(x)
            w: i8[3, 2] @ q((0.5, 0.25), axis=1) = const([[1, -2], [3, 4], [5, -6]])
            b: i32[2] @ q((0.01, 0.005), axis=0) = const([7, -8])
            acc: i32[1, 2] @ q((0.01, 0.005), axis=1) = mat_mul(q1, w, b)
            r: i8[1, 2] @ q(0.1, -3) = requantize(acc, numbers=multipliers((819, 410), 13), lo=-3, hi=127)
            y: f32[1, 2] = dequantize(r)
            return y
        """,
    "markers with their specs and units": """
        def net(x: f32[1, 4]):
            a: f32[1, 4] = observe(x, spec=spec(elem=i8, symmetric=True, axis=1, method="mse"))
            b: f32[1, 4] = fake_quant(a, elem=u4, unit=q(0.1, 7))
            return b
        """,
    "names that are no identifiers": """
        def main_graph(x_1: f32[2] @ name("x.1")):
            "main-graph"
            layer1_Relu: f32[2] = relu(x_1, name="/layer1/Relu")
            layer1_Relu_2: f32[2] = relu(layer1_Relu, name="layer1:Relu")
            v_and: f32[2] = neg(layer1_Relu_2, name="and")
            _4: f32[2] = abs(v_and)
            return {"output:0": _4, "v_and": v_and}
        """,
    "operations named by Python's keywords": """
        def net(a: bool[2], b: bool[2]):
            c: bool[2] = and_(a, b)
            d: bool[2] = not_(c)
            return d
        """,
    "open lengths": """
        def net(x: f32[n, dim("(h+1)"), 2]):
            y: f32[n, dim("(h+1)"), 2] = relu(x)
            z: f32[n, m] = reshape(y)
            return y, z
        """,
    "infinite bounds, scalars and empty arrays": """
        def net(x: f32[()]):
            a: f32[()] = clip(x, lo=0.0)
            b: f32[()] = clip(a, hi=6.0)
            c: f32[()] = const(-inf)
            d: f32[0, 3] = const([])
            return a, b, c, d
        """,
    "several operands as one tuple, and slices": """
        def net(x: f32[1, 4], y: f32[1, 4]):
            c: f32[1, 8] = concat((x, y), axis=1)
            s: f32[1, 3] = slice(c, axes=(1,), starts=(7,), stops=(-1,), steps=(-3,))
            return s
        """,
    "even index lists as ramps": """
        def net(x: f32[1, 1, 12, 3]):
            y: f32[1, 1, 24, 4] = resize_nearest(x, indices=(ramp(0, 12, 2), (0, 0, 1, 2)))
            return y
        """,
    "operators from elsewhere": """
        def net(x: f32[2]):
            y: f32[3] = foreign((x,), op_type="Odd", domain="com.x", opsets=(("com.x", 1),), payload=base64("AAE="), names=("a",), result_names=("", "b"), results=(i64[1], f32[3]), index=1)
            return y
        """,
}


@pytest.mark.parametrize("text", ROUND_TRIPS.values(), ids=ROUND_TRIPS.keys())
def test_reads_back(text: str):
    text = dedent(text).lstrip()
    assert dump(parse(text)) == text


def test_long_arrays_and_long_scales_are_blobs():
    scale = tuple(0.01 * (i + 1) for i in range(20))
    x = Input(TensorType((20, 2), I8, Affine(scale, axis=0)), name="x")
    w = const(np.arange(17, dtype=np.float32), name="w")
    graph = Graph("net", (x,), (("x", x), ("w", w)))
    needed = blobs(graph)
    assert len(needed) == 2
    assert parse(dump(graph), needed).inputs[0].type == x.type


def test_steps_of_groups_are_bytes_where_they_are_many():
    unit = Affine((0.5,), group=2, steps=bytes(range(1, 18)))
    graph = Graph("net", (), (("w", const(np.zeros(34), elem=Scalar("i2"), unit=unit, name="w")),))
    needed = blobs(graph)
    assert sorted(b.dtype.name for b in needed.values()) == ["int8", "uint8"]
    assert "group=2, steps=blob(" in dump(graph)
    assert parse(dump(graph), needed).results[0].type.unit == unit


def test_equal_arrays_are_one_blob():
    a, b = const(np.ones(20, np.float32)), const(np.ones(20, np.float32))
    assert len(blobs(Graph("net", (), (("a", a), ("b", b))))) == 1


def test_many_inputs_stand_one_a_line():
    inputs = tuple(Input(f32(1, 3, 224, 224), name=f"picture_{i}") for i in range(5))
    graph = Graph("net", inputs, (("y", inputs[0]),))
    assert max(map(len, dump(graph).splitlines())) < 50
    assert dump(parse(dump(graph))) == dump(graph)


def test_a_shared_node_stays_one_node():
    graph = parse("def f(x: f32[2]):\n a = relu(x)\n y = add(a, a)\n return y")
    assert graph.results[0].operands[0] is graph.results[0].operands[1]


def test_float32_constants_read_back_bit_for_bit():
    values = np.random.default_rng(0).standard_normal(16).astype(np.float32)
    graph = Graph("f", (), (("c", const(values, name="c")),))
    np.testing.assert_array_equal(parse(dump(graph)).run()[0], values)


def test_fields_equal_to_their_default_are_left_out():
    x = Input(f32(1, 1, 4, 4), name="x")
    w = const(np.ones((1, 1, 1, 1), np.float32), name="w")
    text = dump(Graph("f", (x,), (("c", Conv(x, w, stride=(2, 2), name="c")),)))
    assert "c: f32[1, 1, 2, 2] = conv(x, w, stride=(2, 2))" in text


def test_names_do_not_change_the_graph():
    x = Input(f32(2), name="inf")
    graph = Graph("f", (x,), (("i8", Clip(Relu(x, name="nan"), 0.0, name="i8")),))
    again = parse(dump(graph))
    assert [n.name for n in again.nodes] == ["inf", "nan", "i8"]


def test_a_blob_may_go_by_any_name():
    graph = parse(
        'def f():\n w: f32[3] = const(blob("w"))\n return w', {"w": blob(np.ones(3, "f4"))}
    )
    assert graph.run()[0].tolist() == [1, 1, 1]


def test_parse_type_reads_shape_element_and_unit():
    assert parse_type("u8[1, n] @ q(0.02, 3)") == TensorType(
        (1, Symbol("n")), U8, per_tensor(0.02, 3)
    )
    assert parse_type("f32[()]") == TensorType((), F32)


FAULTS = {
    "def f(x: f32[2]):\n y: f32[3] = relu(x)\n return y": "line 2: relu y.*is f32.2., annotated",
    "def f(x: f32[2]):\n y = relu(z)\n return y": "line 2: no value named z",
    "def f(x: f32[2]):\n y = rellu(x)\n return y": "line 2: no operation 'rellu'",
    "def f(x: f32[2]):\n y = relu(x, 3, 4)\n return y": "line 2: relu takes 1 operands",
    "def f(x: f32[2]):\n y = relu(x, slope=1)\n return y": "line 2: .*slope",
    "def f(x: f32[2]):\n x = relu(x)\n return x": "line 2: x is defined twice",
    "def f(x: f32[2]):\n y = relu(x)": "f returns nothing",
    "def f(x: f32[2]):\n return x\n y = relu(x)": "line 3: a line after",
    "def f(x: f32[2]):\n y = quantize(x)\n return y": "line 2: .*quantize wants its type annotated",
    "def f(x: f33[2]):\n return x": "line 1: no element format 'f33'",
    "def f(x):\n return x": "line 1: input x has no type",
    "def f(x: f32[2]):\n y = __import__('os').system('ls')\n return y": "line 2: no operation",
    "def f(x: f32[2]):\n for i in x: pass": "line 2: wants `name: type = op",
    "def f(): (": "line 1",
    "x = 1": "wants one `def",
    'def f():\n w: f32[3] = const(blob("w"))\n return w': "line 2: blob 'w' is not given",
}


@pytest.mark.parametrize("text", FAULTS)
def test_says_the_line_and_the_fault(text: str):
    with pytest.raises((BadModel, TypeMismatch), match=FAULTS[text]):
        parse(text)


def test_a_foreign_operator_read_without_a_runner_says_so_when_run():
    graph = parse(dedent(ROUND_TRIPS["operators from elsewhere"]))
    with pytest.raises(UsageError, match=r"com\.x::Odd was read without a runner"):
        graph.run(np.zeros(2, np.float32))
