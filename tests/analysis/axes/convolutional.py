"""Small convolutional networks in float64, batch norms folded already, and a state space block."""

from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul
from qcompile.ir.ops.linear import Conv, ConvTranspose
from qcompile.ir.ops.pointwise import Clip, Exp, Relu, Silu, Softplus
from qcompile.ir.ops.pool import MaxPool
from qcompile.ir.ops.reduce import ReduceMean, ReduceSum
from qcompile.ir.ops.shape import Concat, Pad, Reshape, Slice, Transpose
from tests.analysis.axes.parts import TOKENS, VOCABULARY, WIDTH, Parts, graph, tokens, values


def conv(net: Parts, x: Node, out: int, name: str, *, kernel: int = 3, groups: int = 1) -> Conv:
    """A convolution with bias that keeps the picture's size."""
    w = net.weight(out, static(x.type.shape)[1] // groups, kernel, kernel, name=f"{name}.w")
    pad = (kernel // 2,) * 4
    return Conv(x, w, net.weight(out, name=f"{name}.b"), pads=pad, groups=groups, name=name)


def resnet() -> Graph:
    """Two stages of residual blocks, a ReLU behind each sum."""
    net, image = Parts(), values(1, 3, 6, 6, name="image")
    x: Node = Relu(conv(net, image, 8, "stem"), name="stage1")
    x = MaxPool(x, (2, 2), (2, 2), (0,) * 4, (1, 1), name="pool")
    inner = Relu(conv(net, x, 6, "c1"), name="inside1")
    x = Relu(Add(x, conv(net, inner, 8, "c2")), name="sum1")
    inner = Relu(conv(net, x, 12, "c3"), name="inside2")
    x = Relu(Add(conv(net, x, 10, "down", kernel=1), conv(net, inner, 10, "c4")), name="sum2")
    pooled = Reshape(ReduceMean(x, (2, 3)), (1, 10))
    return graph(image, y=net.linear(pooled, 5, "head", bias=True))


def mobilenet(*, capped: bool = True) -> Graph:
    """Inverted residuals: narrow streams with no activation between expanded parts."""
    net, image = Parts(), values(1, 3, 4, 4, name="image")
    x: Node = conv(net, image, 4, "stem")
    y = _inverted(net, x, 12, 4, "b1", capped=capped)
    x = Add(x, y, name="narrow1")
    x = _inverted(net, x, 12, 6, "b2", capped=capped)
    x = Relu(conv(net, x, 10, "last", kernel=1), name="wide")
    return graph(image, y=net.linear(Reshape(ReduceMean(x, (2, 3)), (1, 10)), 5, "head"))


def _inverted(net: Parts, x: Node, wide: int, out: int, name: str, *, capped: bool) -> Node:
    def act(y: Node, name: str) -> Node:
        return Clip(y, 0.0, 6.0, name=name) if capped else Relu(y, name=name)

    y = act(conv(net, x, wide, f"{name}.expand", kernel=1), f"{name}.a")
    y = act(conv(net, y, wide, f"{name}.dw", groups=wide), f"{name}.d")
    return conv(net, y, out, f"{name}.project", kernel=1)


def unet() -> Graph:
    """A skip that is concatenated: the joined axis has two segments."""
    net, image = Parts(), values(1, 3, 4, 4, name="image")
    skip = Relu(conv(net, image, 4, "enc"), name="skip")
    low = MaxPool(skip, (2, 2), (2, 2), (0,) * 4, (1, 1), name="pool")
    low = Relu(conv(net, low, 6, "mid"), name="bottom")
    kernel = net.weight(6, 5, 2, 2, name="up.w")
    up = ConvTranspose(low, kernel, net.weight(5, name="up.b"), (2, 2), name="up")
    joined = Concat((skip, up), 1, name="joined")
    return graph(image, y=conv(net, conv(net, joined, 4, "dec"), 2, "out", kernel=1))


def grouped() -> Graph:
    """Convolutions in groups with nothing between them."""
    net, image = Parts(), values(1, 3, 4, 4, name="image")
    x = conv(net, image, 6, "a")
    x = conv(net, x, 12, "b", groups=2)
    x = conv(net, x, 12, "c", groups=4)
    return graph(image, y=conv(net, x, 2, "d", kernel=1))


def mamba(*, inner: int = 6, states: int = 3, low: int = 2) -> Graph:
    """A selective scan, unrolled over tokens: h ← exp(Δ A) h + Δ B x, y = C h + D x."""
    net, ids = Parts(), tokens()
    stream = net.embedding(ids)
    wide = net.linear(net.rms(stream, "n1"), 2 * inner, "in")
    x, z = _columns(wide, 0, inner), _columns(wide, inner, 2 * inner)
    x = Silu(_causal(net, x, inner), name="x")
    narrow = net.linear(x, low + 2 * states, "x_proj")
    delta = Softplus(net.linear(_columns(narrow, 0, low), inner, "dt", bias=True), name="delta")
    b = _columns(narrow, low, low + states)
    c = _columns(narrow, low + states, low + 2 * states)
    y = Mul(_scan(net, x, delta, b, c), Silu(z), name="gated")
    out = Add(stream, net.linear(y, WIDTH, "out"), name="stream")
    return graph(ids, y=net.linear(net.rms(out, "last"), VOCABULARY, "head"))


def _scan(net: Parts, x: Node, delta: Node, b: Node, c: Node) -> Node:
    inner, states = static(x.type.shape)[-1], static(b.type.shape)[-1]
    decay = net.weight(inner, states, name="A")
    h: Node | None = None
    rows: list[Node] = []
    for t in range(TOKENS):
        step = Reshape(_token(delta, t), (1, inner, 1))
        drive = Mul(Mul(step, Reshape(_token(x, t), (1, inner, 1))), _token(b, t))
        h = drive if h is None else Add(Mul(Exp(Mul(step, decay)), h), drive)
        rows.append(ReduceSum(Mul(h, _token(c, t)), (2,), keepdims=False))
    stacked = Concat(tuple(Reshape(row, (1, 1, inner)) for row in rows), 1, name="scanned")
    return Add(stacked, Mul(x, net.weight(inner, name="D")), name="scan")


def _causal(net: Parts, x: Node, inner: int) -> Node:
    turned = Pad(Transpose(x, (0, 2, 1)), (0, 0, 2, 0, 0, 0))
    w, b = net.weight(inner, 1, 3, name="conv.w"), net.weight(inner, name="conv.b")
    return Transpose(Conv(turned, w, b, (1,), (0, 0), (1,), inner, name="conv"), (0, 2, 1))


def _columns(x: Node, start: int, stop: int) -> Node:
    return Slice(x, (2,), (start,), (stop,), (1,))


def _token(x: Node, t: int) -> Node:
    return Slice(x, (1,), (t,), (t + 1,), (1,))
