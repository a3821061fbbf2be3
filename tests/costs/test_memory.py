"""ram is bytes alive: exact where all choose alike, and no more than the arena."""

from dataclasses import replace

import numpy as np
import pytest

from qcompile.costs.fit import fitted
from qcompile.costs.memory import peak_costs
from qcompile.costs.uniform import by_name, nearest
from qcompile.errors import UsageError
from qcompile.ir.widths import W4A4, W4A8, W8A8
from qcompile.passes.assign_bits import problem_of_widths, shared_inputs, solve

UNIFORM = pytest.mark.parametrize("option", [W4A4, W4A8, W8A8], ids=str)


def alike(subject, option):
    return {name: nearest(option, offers) for name, offers in by_name(subject.offered).items()}


def mixed(subject, seed):
    rng = np.random.default_rng(seed)
    return {
        name: options[int(rng.integers(len(options)))] for name, options in subject.allowed.items()
    }


def live(outline):
    return max(sum(step.alive.values()) for step in outline.steps)


def peak(costs, widths):
    return max(
        costs.base[name] + sum(costs.of[key][name] for key in widths.items())
        for name in costs.peaks["ram"]
    )


@UNIFORM
def test_the_peak_of_one_width_for_all_is_what_is_alive(gpu, option):
    costs = peak_costs(gpu.programs, gpu.offered)
    widths = alike(gpu, option)
    assert peak(costs, widths) == live(gpu.outline(widths))


@pytest.mark.parametrize("seed", range(6))
def test_the_peak_of_mixed_widths_is_what_is_alive(gpu, seed):
    costs = peak_costs(gpu.programs, gpu.offered)
    widths = mixed(gpu, seed)
    assert peak(costs, widths) == pytest.approx(live(gpu.outline(widths)), rel=0.05)


def test_no_more_is_alive_than_the_arena_holds(gpu):
    outline = gpu.outline(alike(gpu, W4A4))
    assert live(outline) <= outline.arena_bytes


def test_four_bits_take_less_memory_than_eight(gpu):
    costs = peak_costs(gpu.programs, gpu.offered)
    assert peak(costs, alike(gpu, W4A4)) < peak(costs, alike(gpu, W8A8))


def test_widths_of_weights_change_no_memory(cpu):
    costs = peak_costs(cpu.programs, cpu.offered)
    assert {peak(costs, alike(cpu, o)) for o in cpu.place.recipe.options} == {
        live(cpu.outline(alike(cpu, W8A8)))
    }


def test_steps_that_cannot_be_the_peak_are_left_out(gpu):
    kept = peak_costs(gpu.programs, gpu.offered).peaks["ram"]
    assert 0 < len(kept) < len(gpu.programs[0].steps)


def problem(subject, ram):
    costs = peak_costs(subject.programs, subject.offered)
    damages = {key: 100.0 / (key[1].weight + key[1].activation) for key in subject.offered}
    return problem_of_widths(
        damages, costs.of, {"ram": ram}, ties=shared_inputs(subject.real), base=costs.base,
        peaks=costs.peaks,
    )  # fmt: skip


def arenas(subject):
    return [subject.outline(alike(subject, option)).arena_bytes for option in (W4A4, W8A8)]


def test_a_limit_is_kept_by_the_arena(gpu):
    low, high = arenas(gpu)
    given = fitted(problem(gpu, (low + high) / 2), gpu)
    names = [option.name for option in solve(given).options]
    widths = {
        name: next(o for o in gpu.allowed[name] if str(o) == chosen)
        for name, chosen in zip(gpu.allowed, names, strict=True)
    }
    assert gpu.outline(widths).arena_bytes <= (low + high) / 2


def test_a_limit_below_every_arena_names_the_nearest(gpu):
    low, _ = arenas(gpu)
    with pytest.raises(UsageError, match=rf"cannot be met: .* ram={low / 1000:.6g}KB"):
        fitted(problem(gpu, low / 2), gpu)


def test_without_a_limit_on_ram_nothing_changes(gpu):
    free = replace(problem(gpu, 1e9), limits=())
    assert fitted(free, gpu) is free
