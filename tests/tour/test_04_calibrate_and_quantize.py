"""Tour, 4 of 7: from reals to integers, one marker at a time.

observe (identity) → fake_quant (snaps to a grid, still float) → integers. Each stage is a graph
that runs, so each can be compared with the one before.
"""

import numpy as np

from qcompile.calibrate.collect import collect
from qcompile.coverage import coverage
from qcompile.ir.ops.integer import Requantize
from qcompile.passes import Calibrate, Quantize, Recipe
from qcompile.passes.calibrate import observed
from qcompile.quality import output_sqnr
from qcompile.stages import simplify, specify
from tests.helpers import read, seeded_inputs

# A small residual network, as an exporter might write it.
model = read("""
    def net(x: f32[1, 3, 8, 8]):
        w1: f32[8, 3, 3, 3] = const(...)
        gamma: f32[8] = const([1.0, 0.5, 2.0, 1.0, 1.0, 0.7, 1.5, 1.0])
        beta: f32[8] = const(...)
        mean: f32[8] = const(...)
        var: f32[8] = const([25.0, 30.0, 20.0, 25.0, 25.0, 30.0, 20.0, 25.0])
        c1 = conv(x, w1, pads=(1, 1, 1, 1))
        n1 = batch_norm(c1, gamma, beta, mean, var)
        r1 = relu(n1)
        w2: f32[8, 8, 1, 1] = const(...)
        c2 = conv(r1, w2)
        s = add(c2, r1)
        y = relu(s)
        return y
    """)
samples = [seeded_inputs(model, seed=i) for i in range(8)]
fresh = [seeded_inputs(model, seed=100 + i) for i in range(4)]

# 1. One spelling for each meaning: the batchnorm disappears into the convolution.
real = simplify(model)

# 2. The target's recipe decides which values must fit 8 bits; those get an `observe`.
recipe = Recipe()
marked = specify(real, recipe)

# 3. Run the samples through, look at each observed edge, give it a scale and a zero point.
statistics = collect(marked, observed(marked), samples, threads=2)
snapped = Calibrate(statistics).run(marked)

# 4. Replace snapped reals by integers, 32-bit sums and requantizes between them.
integer = Quantize(recipe).run(snapped)


def test_the_batchnorm_is_folded():
    assert [n.op for n in real.nodes if n.operands] == ["conv", "relu", "conv", "add", "relu"]


def test_the_input_and_what_the_second_convolution_reads_are_observed():
    assert [edge.name for edge in observed(marked)] == ["x.range", "r1.range"]


def test_every_stage_stays_near_the_reals():
    assert output_sqnr(real, snapped, fresh)["y"] > 30
    assert output_sqnr(real, integer, fresh)["y"] > 30


def test_nothing_is_left_in_float():
    assert coverage(integer, recipe).islands == {}


# Between two layers stands one requantize: an integer multiply and shift, with the ReLU inside.
def test_relu_is_a_bound_of_the_requantize():
    node = next(n for n in integer.nodes if isinstance(n, Requantize))
    assert (node.lo, node.unit.zero_point) == (0, (0,))


def test_the_integer_program_is_exact():
    np.testing.assert_array_equal(integer.run(*fresh[0])[0], integer.run(*fresh[0])[0])
