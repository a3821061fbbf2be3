"""Each operation in torch gives what the interpreter gives, sample by sample."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from qcompile.ir.ops.quant import FakeQuant
from qcompile.ir.ops.source import Input
from qcompile.ir.types import F32, Scalar, TensorType
from qcompile.ir.unit import Affine
from qcompile.sensitivity.network import Network
from qcompile.sensitivity.torch_ops import Tensor, snapped
from tests.helpers import read, seeded_inputs

BODIES = {
    "conv": "w: f32[6, 4, 3, 2] = const(...)\n y = conv(x, w, stride=(2, 1), pads=(1, 0, 1, 0))",
    "conv with uneven border": "w: f32[4, 1, 3, 3] = const(...)\n"
    " b: f32[4] = const(...)\n y = conv(x, w, b, pads=(0, 0, 1, 2), dilation=(1, 2), groups=4)",
    "conv_transpose": "w: f32[4, 3, 2, 2] = const(...)\n y = conv_transpose(x, w, stride=(2, 2))",
    "conv_transpose with all it has": "w: f32[4, 2, 3, 3] = const(...)\n b: f32[4] = const(...)\n"
    " y = conv_transpose(x, w, b, stride=(2, 2), pads=(1, 0, 1, 0), dilation=(1, 2), "
    "output_padding=(1, 0), groups=2)",
    "conv_transpose with uneven border": "w: f32[4, 3, 2, 2] = const(...)\n"
    " y = conv_transpose(x, w, stride=(2, 2), pads=(0, 1, 1, 0))",
    "matrix product": "w: f32[8, 3] = const(...)\n b: f32[3] = const(...)\n y = mat_mul(x, w, b)",
    "matrix product from the left": "w: f32[3, 6] = const(...)\n y = mat_mul(w, x)",
    "product of values": "t = transpose(x, perm=(0, 1, 3, 2))\n y = mat_mul(x, t)",
    "max_pool": "y = max_pool(x, kernel=(3, 2), stride=(2, 2), pads=(1, 1, 1, 1), dilation=(1, 1))",
    "max_pool, last window overhanging": "y = max_pool(x, kernel=(3, 3), stride=(2, 2), "
    "pads=(0, 0, 0, 0), dilation=(1, 1), ceil=True)",
    "average_pool": "y = average_pool(x, kernel=(3, 3), stride=(1, 2), pads=(1, 1, 1, 1), "
    "dilation=(1, 1))",
    "average_pool over its border": "y = average_pool(x, kernel=(2, 2), stride=(2, 2), "
    "pads=(1, 1, 1, 1), dilation=(1, 1), count_border=True)",
    "hadamard": "y = hadamard(x, axis=3, size=8, seed=2)",
    "hadamard of blocks": "y = hadamard(x, axis=1, size=2)",
    "mean": "y = reduce_mean(x, axes=(2, 3), keepdims=False)",
    "greatest": "y = reduce_max(x, axes=(1,))",
    "softmax": "y = softmax(x, axis=1)",
    "reshape": "y: f32[1, 8, 24] = reshape(x)",
    "transpose": "y = transpose(x, perm=(0, 3, 1, 2))",
    "concat": "r = relu(x)\n y = concat((x, r), axis=1)",
    "slice": "y = slice(x, axes=(2,), starts=(1,), stops=(6,), steps=(2,))",
    "slice backwards": "y = slice(x, axes=(2,), starts=(5,), stops=(-1,), steps=(-1,))",
    "pad": "y = pad(x, pads=(0, 0, 1, 2, 0, 0, 0, 1), value=0.5)",
    "leaky_relu": "y = leaky_relu(x, alpha=0.2)",
    "hard_swish": "y = hard_swish(x)",
    "silu": "y = silu(x)",
    "gelu": "y = gelu(x)",
    "mish": "y = mish(x)",
    "clip": "y = clip(x, lo=-0.5, hi=1.0)",
    "snapped": "y = fake_quant(x, elem=u8, unit=q(0.0173, 120))",
    "constant per channel": "c: f32[1, 4, 1, 1] = const(...)\n y = mul(x, c)",
    "constant of lower rank": "c: f32[8] = const(...)\n y = sub(x, c)",
    "bound in place": "w: f32[4, 4, 1, 1] = const(...)\n c = conv(x, w)\n y = relu(c)",
    "bound of what is read twice": "w: f32[4, 4, 1, 1] = const(...)\n c = conv(x, w)\n"
    " r = relu(c)\n y = add(c, r)",
}
ORDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "rows": lambda x: x,
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "a part": lambda x: x[:, ::2],
    "turned": lambda x: x.permute(3, 1, 0, 2),
    "plane": lambda x: x[0, 0],
}


def network(body):
    lines = "\n".join(f"    {line.strip()}" for line in body.splitlines())
    return Network(read(f"def f(x: f32[1, 4, 6, 8]):\n{lines}\n    return y"))


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_batch_gives_what_the_interpreter_gives(body):
    found = network(body)
    samples = [seeded_inputs(found.graph, seed=seed) for seed in range(3)]
    expected = np.concatenate([found.graph.run(*sample)[0] for sample in samples])
    (batch,) = found.batches(samples)
    (given,) = found.outputs(batch)
    np.testing.assert_allclose(given.numpy(), expected, rtol=2e-5, atol=2e-5)


def test_snapped_values_are_the_same_bits():
    found = network(BODIES["snapped"])
    sample = seeded_inputs(found.graph, seed=4)
    (given,) = found.outputs(*found.batches([sample]))
    np.testing.assert_array_equal(given.numpy(), found.graph.run(*sample)[0])


def test_a_graph_without_room_for_a_batch_runs_sample_by_sample():
    found = network("y: f32[4, 48] = reshape(x)")
    samples = [seeded_inputs(found.graph, seed=seed) for seed in range(2)]
    given = [found.outputs(batch)[0].numpy() for batch in found.batches(samples)]
    np.testing.assert_array_equal(given, [found.graph.run(*sample)[0] for sample in samples])


def test_what_only_numpy_knows_is_listed():
    assert [node.op for node in network("m = mish(x)\n y = relu(m)").foreign] == ["mish"]


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_snapping_piece_by_piece_is_snapping(order):
    rng = np.random.default_rng(4)
    x = order(torch.from_numpy(rng.standard_normal((3, 6, 60, 61)).astype(np.float32)))
    elem, unit = Scalar("u8"), Affine((0.0213,), (117,))
    marked = FakeQuant(Input(TensorType(tuple(x.shape), F32), name="x"), elem, unit)
    np.testing.assert_array_equal(snapped(x, elem, unit).numpy(), marked.evaluate(x.numpy()))
