"""Small transformers in float64: what families differ in, spelled out."""

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add
from tests.analysis.axes.parts import (
    HEAD,
    VOCABULARY,
    Parts,
    attention,
    graph,
    heads,
    joined,
    repeated,
    rotary,
    tables,
    tokens,
)


def llama(*, layers: int = 1, q_heads: int = 4, kv_heads: int = 2, hidden: int = 20) -> Graph:
    """RMSNorm, rotary grouped-query attention, gated hidden layer, untied head."""
    net, ids = Parts(), tokens()
    x = net.embedding(ids)
    for i in range(layers):
        x = Add(x, _llama_attention(net, net.rms(x, f"l{i}.n1"), f"l{i}", q_heads, kv_heads))
        normed = net.rms(x, f"l{i}.n2")
        x = Add(x, net.gated(normed, hidden, f"l{i}"), name=f"l{i}.out")
    return graph(ids, y=net.linear(net.rms(x, "last"), VOCABULARY, "head"))


def _llama_attention(net: Parts, x: Node, name: str, q_heads: int, kv_heads: int) -> Node:
    cos, sin = tables(5, HEAD)
    q = rotary(heads(net.linear(x, q_heads * HEAD, f"{name}.q"), q_heads), cos, sin)
    k = rotary(heads(net.linear(x, kv_heads * HEAD, f"{name}.k"), kv_heads), cos, sin)
    v = heads(net.linear(x, kv_heads * HEAD, f"{name}.v"), kv_heads)
    groups = q_heads // kv_heads
    mixed = attention(q, repeated(k, groups), repeated(v, groups))
    return net.linear(joined(mixed, f"{name}.mix"), 16, f"{name}.o")
