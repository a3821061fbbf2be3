"""latency adds up: every step belongs to a contraction or to the base."""

import pytest

from qcompile.costs.asked import asked_costs, modelled
from qcompile.costs.latency import milliseconds, time_costs
from qcompile.costs.uniform import by_name, nearest
from qcompile.errors import TargetError, UsageError
from qcompile.ir.widths import W4A4, W8A8
from qcompile.targets import target

CLOCK = modelled("t4-int4")


def total(costs, widths):
    return costs.base["latency"] + sum(costs.of[key]["latency"] for key in widths.items())


@pytest.mark.parametrize("option", [W4A4, W8A8], ids=str)
def test_the_sum_of_one_width_for_all_is_the_program_s(gpu, option):
    costs = time_costs(gpu.programs, gpu.offered, CLOCK)
    widths = {name: nearest(option, o) for name, o in by_name(gpu.offered).items()}
    assert total(costs, widths) == pytest.approx(
        milliseconds(gpu.outline(widths).steps, CLOCK), rel=1e-3
    )


def test_a_mix_is_predicted_from_its_parts(gpu):
    costs = time_costs(gpu.programs, gpu.offered, CLOCK)
    widths = {
        name: options[i % len(options)] for i, (name, options) in enumerate(gpu.allowed.items())
    }
    assert total(costs, widths) == pytest.approx(
        milliseconds(gpu.outline(widths).steps, CLOCK), rel=0.02
    )


def test_every_step_but_the_last_belongs_to_a_contraction(gpu):
    names = [step.contraction for step in gpu.programs[0].steps]
    assert set(gpu.allowed) <= set(names)
    assert names[0] == "stem"
    assert names[-1] == ""


def test_a_fused_epilogue_belongs_to_the_contraction_that_carries_it(gpu):
    (step,) = [s for s in gpu.programs[-1].steps if s.name == "sum_2"][:1]
    assert step.contraction == "back"


def test_a_run_takes_the_conversions_of_reals_and_not_those_of_integers(gpu):
    steps = gpu.programs[0].steps
    skipped = [step for step in steps if not step.taken]
    assert skipped
    assert milliseconds(steps, CLOCK) == pytest.approx(
        sum(CLOCK(s) for s in steps) - sum(CLOCK(s) for s in skipped)
    )


def test_only_what_is_asked_for_is_lowered(gpu):
    found = asked_costs(gpu, ())
    assert set(next(iter(found.of.values()))) == {"size", "bops"}
    assert set(found.base) == {"size"}


def test_all_four_costs_at_once(gpu):
    found = asked_costs(gpu, ("latency", "ram", "size", "bops"))
    assert {"size", "bops", "latency", *found.peaks["ram"]} == set(next(iter(found.of.values())))


def test_size_is_the_packed_weight_s(gpu):
    found = asked_costs(gpu, ())
    assert found.of["wide", W4A4] == {"size": 32 * 16 * 9 / 2, "bops": 32 * 16 * 9 * 256 * 16}


def test_times_of_a_processor_are_not_modelled(cpu):
    with pytest.raises(UsageError, match="qcompile profile MODEL --target x86-int8"):
        asked_costs(cpu, ("latency",))


@pytest.mark.parametrize("name", ["reference", "onnx-int", "onnx-qdq"])
def test_targets_without_programs_of_their_own_say_so(cpu, name):
    with pytest.raises(TargetError, match=r"interprets|onnxruntime"):
        target(name).outline(cpu.real)
