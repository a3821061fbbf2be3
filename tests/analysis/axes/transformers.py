"""Small transformers in float64: what families differ in, spelled out."""

import numpy as np

from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.pointwise import Gelu
from qcompile.ir.ops.reduce import Softmax
from qcompile.ir.ops.shape import Concat, Expand, Gather, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const, const
from tests.analysis.axes.parts import (
    HEAD,
    TOKENS,
    VOCABULARY,
    WIDTH,
    Parts,
    attention,
    graph,
    heads,
    joined,
    repeated,
    rotary,
    tables,
    tokens,
    values,
)


def llama(
    *, layers: int = 1, q_heads: int = 4, kv_heads: int = 2, hidden: int = 20, normed: bool = False
) -> Graph:
    """RMSNorm, rotary grouped-query attention, gated hidden layer; `normed`: Qwen's q and k."""
    net, ids = Parts(), tokens()
    x = net.embedding(ids)
    for i in range(layers):
        before = net.rms(x, f"l{i}.n1")
        x = Add(x, _llama_attention(net, before, f"l{i}", q_heads, kv_heads, normed=normed))
        x = Add(x, net.gated(net.rms(x, f"l{i}.n2"), hidden, f"l{i}"), name=f"l{i}.out")
    return graph(ids, y=net.linear(net.rms(x, "last"), VOCABULARY, "head"))


def _llama_attention(
    net: Parts, x: Node, name: str, q_heads: int, kv_heads: int, *, normed: bool
) -> Node:
    cos, sin = tables(TOKENS, HEAD)
    q = heads(net.linear(x, q_heads * HEAD, f"{name}.q"), q_heads)
    k = heads(net.linear(x, kv_heads * HEAD, f"{name}.k"), kv_heads)
    v = heads(net.linear(x, kv_heads * HEAD, f"{name}.v"), kv_heads)
    if normed:
        q, k = net.rms(q, f"{name}.qn"), net.rms(k, f"{name}.kn")
    q, k = rotary(q, cos, sin, f"{name}.qr"), rotary(k, cos, sin, f"{name}.kr")
    groups = q_heads // kv_heads
    mixed = attention(q, repeated(k, groups), repeated(v, groups))
    return net.linear(joined(mixed, f"{name}.mix"), WIDTH, f"{name}.o")


def gpt2(*, tied: bool = True) -> Graph:
    """LayerNorm before each branch, biases, a position table, GELU, the embedding as the head."""
    net, ids = Parts(), tokens()
    table = net.weight(VOCABULARY, WIDTH, name="embed.w")
    position = net.weight(TOKENS, WIDTH, name="position")
    x: Node = Add(Gather(table, ids, 0, name="embed"), position)
    x = Add(x, _plain_attention(net, net.layer(x, "n1"), "a"))
    hidden = Gelu(net.linear(net.layer(x, "n2"), 24, "up", bias=True), name="act")
    x = Add(x, net.linear(hidden, WIDTH, "down", bias=True), name="out")
    head = Transpose(table, (1, 0)) if tied else net.weight(WIDTH, VOCABULARY, name="head.w")
    return graph(ids, y=MatMul(net.layer(x, "last"), head, name="head"))


def _plain_attention(net: Parts, x: Node, name: str) -> Node:
    q, k, v = (heads(net.linear(x, 12, f"{name}.{c}", bias=True), 3) for c in "qkv")
    mixed = joined(attention(q, k, v, causal=False), f"{name}.mix")
    return net.linear(mixed, WIDTH, f"{name}.o", bias=True)


def bert() -> Graph:
    """LayerNorm behind each sum: its scaled result is the next stream."""
    net, ids = Parts(), tokens()
    x: Node = net.layer(net.embedding(ids), "n0")
    x = net.layer(Add(x, _plain_attention(net, x, "a")), "n1")
    hidden = Gelu(net.linear(x, 24, "up", bias=True), name="act")
    x = net.layer(Add(x, net.linear(hidden, WIDTH, "down", bias=True)), "n2")
    return graph(ids, y=net.linear(x, 3, "head"))


def vit() -> Graph:
    """Patches by a convolution, a class token, q, k and v of one matrix, seen as [3, heads, d]."""
    net, image = Parts(), values(1, 3, 4, 4, name="image")
    kernel = net.weight(WIDTH, 3, 2, 2, name="patch.w")
    patches = Conv(image, kernel, net.weight(WIDTH, name="patch.b"), (2, 2), name="patch")
    x: Node = Transpose(Reshape(patches, (1, WIDTH, 4)), (0, 2, 1))
    x = Concat((net.weight(1, 1, WIDTH, name="class"), x), 1)
    x = Add(x, net.weight(1, 5, WIDTH, name="position"), name="stream")
    fused = Reshape(net.linear(net.layer(x, "n1"), 36, "qkv", bias=True), (1, 5, 3, 3, 4))
    spread = Transpose(fused, (2, 0, 3, 1, 4))
    q, k, v = (Gather(spread, const(np.array(i)), 0) for i in range(3))
    mixed = joined(attention(q, k, v, causal=False), "mix")
    x = Add(x, net.linear(mixed, WIDTH, "o", bias=True))
    hidden = Gelu(net.linear(net.layer(x, "n2"), 24, "up", bias=True))
    x = Add(x, net.linear(hidden, WIDTH, "down", bias=True), name="out")
    first = Reshape(Slice(net.layer(x, "last"), (1,), (0,), (1,), (1,)), (1, WIDTH))
    return graph(image, y=net.linear(first, 3, "head", bias=True))


def gemma() -> Graph:
    """A norm behind each branch, too; norms store scale − 1; the embedding times √n."""
    net, ids = Parts(), tokens()
    root = const(np.array(float(np.sqrt(WIDTH))))
    x: Node = Mul(net.embedding(ids), root, name="stream")
    x = Add(x, net.rms(_plain_attention(net, net.rms(x, "n1"), "a"), "p1"))
    x = Add(x, net.rms(net.gated(net.rms(x, "n2"), 20, "m"), "p2"), name="out")
    return graph(ids, y=net.linear(net.rms(x, "last"), VOCABULARY, "head"))


def mla() -> Graph:
    """Latent attention: keys and values out of one narrow normed vector, beside a rotary part."""
    net, ids, count, rank = Parts(), tokens(), 2, 6
    cos, sin = tables(TOKENS, HEAD)
    x = net.embedding(ids)
    before = net.rms(x, "n1")
    q = heads(net.linear(before, count * 2 * HEAD, "q"), count)
    narrow = net.linear(before, rank + HEAD, "kv_a")
    latent = net.rms(_columns(narrow, 0, rank), "kv_norm")
    shared = Reshape(_columns(narrow, rank, rank + HEAD), (1, 1, TOKENS, HEAD))
    k = heads(net.linear(latent, count * HEAD, "k_b"), count)
    v = heads(net.linear(latent, count * HEAD, "v_b"), count)
    turned = Expand(rotary(shared, cos, sin), (1, count, TOKENS, HEAD))
    q_all = Concat((_columns(q, 0, HEAD), rotary(_columns(q, HEAD, 2 * HEAD), cos, sin)), 3)
    mixed = attention(q_all, Concat((k, turned), 3), v)
    x = Add(x, net.linear(joined(mixed, "mix"), WIDTH, "o"), name="out")
    return graph(ids, y=net.linear(net.rms(x, "last"), VOCABULARY, "head"))


def _columns(x: Node, start: int, stop: int) -> Node:
    return Slice(x, (x.type.rank - 1,), (start,), (stop,), (1,))


def moe(experts: int = 3) -> Graph:
    """A router weighs experts; a shared one is always on."""
    net, ids = Parts(), tokens()
    x = net.embedding(ids)
    normed = net.rms(x, "n1")
    weights = Softmax(net.linear(normed, experts, "router"), 2)
    total: Node = net.gated(normed, 8, "shared")
    for e in range(experts):
        part = Mul(net.gated(normed, 8, f"e{e}"), _columns(weights, e, e + 1))
        total = Add(total, part)
    x = Add(x, total, name="out")
    return graph(ids, y=net.linear(net.rms(x, "last"), VOCABULARY, "head"))


def half(x: Const) -> Const:
    """The first half of a table's last axis."""
    return const(x.array[..., : static(x.type.shape)[-1] // 2], name=x.name)
