"""Resources that are busy together, and kernels one after the other."""

from qcompile.targets.cuda.prediction import Prediction, Time

BUSY = Time(tensor=5.0, shared=1.0, issue=4.0, l2=2.0, dram=3.0)


def prediction(time: Time, latency: float) -> Prediction:
    return Prediction(9.0, time, latency, 0.5, tail=0.25, blocks=7, resident=2, rounds=3)


def test_the_second_busiest_gets_in_the_way():
    assert BUSY.together(0.25) == 6.0


def test_the_busiest_is_the_bound():
    assert prediction(BUSY, 1.0).bound == "tensor"
    assert prediction(BUSY, 6.0).bound == "latency"


def test_of_two_kernels_times_add_and_the_blocks_are_the_first_ones():
    both = prediction(BUSY, 1.0).then(prediction(BUSY, 2.0))
    assert (both.milliseconds, both.latency, both.launch, both.tail) == (18.0, 3.0, 1.0, 0.5)
    assert both.time == Time(10.0, 2.0, 8.0, 4.0, 6.0)
    assert (both.blocks, both.resident, both.rounds) == (7, 2, 3)
