"""Bits by optimization: published assignments, brute force, and what is refused."""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcompile.errors import UsageError
from qcompile.passes.assign_bits import (
    Layer,
    Limit,
    Option,
    OutOfReach,
    Pair,
    Problem,
    Tie,
    pareto,
    problem_from_dict,
    solve,
)

HAWQ = json.loads((Path(__file__).parents[1] / "data/hawq_resnet18_ilp.json").read_text())

Alter = Callable[[dict[str, Any]], object]


# HAWQ-V3's ResNet-18


@pytest.mark.parametrize(
    "row", HAWQ["published"], ids=lambda row: f"{row['limit_on']}-{row['fraction']}"
)
def test_each_published_assignment_is_found(row: Mapping[str, Any]):
    found = solve(problem_from_dict(HAWQ, limit_on=row["limit_on"], fraction=row["fraction"]))
    assert list(found.bits) == row["bits"]
    assert found.used <= found.limit
    assert found.gap == 0.0


@pytest.mark.parametrize(
    ("limit_on", "fraction", "above_four_bits"),
    [
        ("size", 0.25, -1.189414),
        ("size", 0.5, -1.233207),
        ("size", 0.75, -1.274273),
        ("bops", 0.25, -0.847289),
        ("bops", 0.5, -1.092024),
        ("bops", 0.75, -1.227748),
        ("latency", 0.5, -1.105039),
    ],
)
def test_the_objective_is_trace_times_error(limit_on: Any, fraction: float, above_four_bits: float):
    least = solve(problem_from_dict(HAWQ, "size", 0.0))
    found = solve(problem_from_dict(HAWQ, limit_on, fraction))
    assert set(least.bits) == {4}
    assert found.objective - least.objective == pytest.approx(above_four_bits, abs=1e-6)


def test_used_and_limit_are_in_the_units_of_the_data():
    found = solve(problem_from_dict(HAWQ, limit_on="size", fraction=1.0))
    assert set(found.bits) == {8}
    assert found.used == found.limit == pytest.approx(sum(HAWQ["parameters"]))


def test_operations_go_with_the_square_of_the_bits():
    found = solve(problem_from_dict(HAWQ, limit_on="bops", fraction=0.0))
    assert found.used == pytest.approx(sum(HAWQ["bops"]) / 64)


def test_three_widths_and_larger_ties_need_no_new_form():
    data = {
        "bits": [8, 2, 4],
        "trace": [1, 2.0, 3.0],
        "w_err": {"2": [16, 16, 16], 4: [4, 4, 4], "8": [0, 0, 0]},
        "parameters": [10, 10, 10],
        "ties": [[0, 1], [1, 2]],
    }
    assert solve(problem_from_dict(data, fraction=0.5)).bits == (4, 4, 4)


def test_layers_are_free_where_the_data_names_no_ties():
    free = {key: value for key, value in HAWQ.items() if key != "ties"}
    assert solve(problem_from_dict(free)).objective <= solve(problem_from_dict(HAWQ)).objective


BROKEN: list[tuple[Alter, str]] = [
    (lambda d: d.pop("trace"), "the data lacks 'trace'"),
    (lambda d: d.pop("bits"), "the data lacks 'bits'"),
    (lambda d: d.pop("w_err"), "the data lacks 'w_err'"),
    (lambda d: d.pop("parameters"), "lacks 'parameters', which a limit on size needs"),
    (lambda d: d["trace"].pop(), "w_err at 4 bits has 19 entries, trace has 18"),
    (lambda d: d["bops"].append(1), "bops has 20 entries"),
    (lambda d: d["w_err"].pop("8"), "w_err lacks 8 bits: it has 4"),
    (lambda d: d["latency_ms"]["8"].pop(), "latency_ms at 8 bits has 18 entries"),
    (lambda d: d.update(w_err=[1.0]), r"w_err is \[1.0\]: give a list of numbers for each"),
    (lambda d: d.update(trace="none"), "trace is 'none': give a list"),
    (lambda d: d["trace"].__setitem__(3, float("nan")), "trace of layer 3 is nan"),
    (lambda d: d["trace"].__setitem__(3, "1"), "trace of layer 3 is '1'"),
    (lambda d: d["trace"].__setitem__(3, True), "trace of layer 3 is True"),
    (lambda d: d["parameters"].__setitem__(2, -1), "parameters of layer 2 is -1"),
    (lambda d: d.update(bits=[4, 4]), "give each width once"),
    (lambda d: d.update(bits=[4, 64]), r"bits \[4, 64\]: give whole numbers from 1 to 32"),
    (lambda d: d.update(bits=[]), r"bits \[\]: give whole numbers"),
    (lambda d: d.update(bits=[4.0, 8]), r"bits \[4.0, 8\]: give whole numbers"),
    (lambda d: d.update(ties=[[4, 19]]), "positions of layers, 0 to 18"),
    (lambda d: d.update(ties=[[4]]), r"tie \[4\]: give two or more distinct layers"),
    (lambda d: d.update(ties=[[4, 4]]), r"tie \[4, 4\]: give two or more"),
    (lambda d: d.update(ties=[4, 6]), "a group in ties is 4: give a list"),
    (lambda d: d.update(ties={"4": 6}), "ties is {'4': 6}: give a list"),
    (lambda d: d.update(trace=[], w_err={"4": [], "8": []}), "has 19 entries, trace has 0"),
]


@pytest.mark.parametrize(("alter", "said"), BROKEN)
def test_data_that_is_not_whole_is_refused_with_what_is_wrong(alter: Alter, said: str):
    data = deepcopy(HAWQ)
    alter(data)
    with pytest.raises(UsageError, match=said):
        problem_from_dict(data)


def test_a_network_without_layers_is_refused():
    data = {"bits": [4], "trace": [], "w_err": {"4": []}, "parameters": []}
    with pytest.raises(UsageError, match="the problem has no layers"):
        problem_from_dict(data)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_the_fraction_goes_from_the_fewest_bits_to_the_most(fraction: float):
    with pytest.raises(UsageError, match=r"give 0 \(fewest bits\) to 1 \(most bits\)"):
        problem_from_dict(HAWQ, fraction=fraction)


def test_what_can_be_limited_is_listed():
    limit_on: Any = "ram"
    with pytest.raises(UsageError, match="give one of size, bops, latency"):
        problem_from_dict(HAWQ, limit_on=limit_on)


# Any problem


def option(name: str, damage: float, **costs: float) -> Option:
    return Option(name, 4, damage, costs)


def layer(name: str, *choices: tuple[float, float]) -> Layer:
    """Options a, b, ... with damage and bytes."""
    made = (option("abcdefgh"[k], d, size=c) for k, (d, c) in enumerate(choices))
    return Layer(name, tuple(made))


def brute(problem: Problem) -> list[tuple[int, ...]]:
    """All choices that keep ties and limits."""
    every = product(*(range(len(each.options)) for each in problem.layers))
    return [choice for choice in every if keeps(problem, choice)]


def keeps(problem: Problem, choice: tuple[int, ...]) -> bool:
    chosen = [each.options[k] for each, k in zip(problem.layers, choice, strict=True)]
    tied = all(len({chosen[i].trait(tie.on) for i in tie.layers}) == 1 for tie in problem.ties)
    return tied and all(problem.used(limit, choice) <= limit.at_most for limit in problem.limits)


def best(problem: Problem) -> tuple[int, ...]:
    """Least damage, then the least sum of shares of all resources, then the first."""

    def spent(choice: tuple[int, ...]) -> float:
        names = [name for limit in problem.limits for name in limit.resources]
        most = {
            n: sum(max(abs(o.costs[n]) for o in each.options) for each in problem.layers)
            for n in names
        }
        chosen = [each.options[k] for each, k in zip(problem.layers, choice, strict=True)]
        return round(sum(sum(o.costs[n] for o in chosen) / (most[n] or 1) for n in names), 9)

    return min(brute(problem), key=lambda c: (problem.damage(c), spent(c), c))


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Small ones of integers, so that many sums are equal; ties, peaks and pairs included."""
    small = st.integers(0, 6)
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    layers = tuple(
        Layer(
            f"l{place}",
            tuple(
                Option(
                    "abc"[k],
                    4,
                    draw(small),
                    {name: draw(small) for name in ("size", "time", "later")},
                    {"width": draw(st.sampled_from([4, 8])) if k else 8},
                )
                for k in range(size)
            ),
        )
        for place, size in enumerate(sizes)
    )
    places = st.lists(st.integers(0, len(sizes) - 1), min_size=2, max_size=3, unique=True)
    many = len(sizes) > 1
    ties = st.builds(Tie, places.map(tuple), st.sampled_from(["name", "width"]))
    limits = [Limit("size", draw(st.integers(0, 25))), Limit("peak", draw(st.integers(0, 25)))]
    limits[1] = Limit("peak", limits[1].at_most, ("time", "later"))
    pair = st.lists(st.integers(-4, 4), min_size=9, max_size=9)
    pairs: list[Pair] = []
    if many and draw(st.booleans()):
        values = draw(pair)
        rows = (values[3 * i : 3 * i + sizes[1]] for i in range(sizes[0]))
        pairs.append(Pair(0, 1, tuple(tuple(float(v) for v in row) for row in rows)))
    return Problem(
        layers,
        tuple(limits[: draw(st.integers(0, 2))]),
        tuple(draw(st.lists(ties, max_size=2))) if many else (),
        tuple(pairs),
        {"size": draw(small)},
    )


@given(problems().filter(brute))
@settings(max_examples=150)
def test_the_answer_is_that_of_trying_all(problem: Problem):
    found = solve(problem)
    assert found.choice == best(problem)
    assert found.objective == problem.damage(found.choice)
    assert found.gap == 0.0


@given(problems().filter(lambda problem: problem.limits))
@settings(max_examples=60)
def test_the_nearest_values_are_the_least_that_can_be_had(problem: Problem):
    free = Problem(problem.layers, (), problem.ties, problem.pairs, problem.base)
    tight = tuple(Limit(i.name, -1.0, i.resources) for i in problem.limits)
    with pytest.raises(OutOfReach) as refused:
        solve(Problem(free.layers, tight, free.ties, free.pairs, free.base))
    least = {i.name: min(free.used(i, choice) for choice in brute(free)) for i in tight}
    assert refused.value.nearest == least
    reached = tuple(Limit(i.name, refused.value.together[i.name], i.resources) for i in tight)
    solve(Problem(free.layers, reached, free.ties, free.pairs, free.base))


def scaled(problem: Problem, by: float) -> Problem:
    """The same problem in other units of all resources."""

    def rescaled(given: Option) -> Option:
        costs = {name: cost * by for name, cost in given.costs.items()}
        return Option(given.name, given.bits, given.damage * by, costs, given.traits)

    return Problem(
        tuple(Layer(each.name, tuple(map(rescaled, each.options))) for each in problem.layers),
        tuple(Limit(i.name, i.at_most * by, i.resources) for i in problem.limits),
        problem.ties,
        tuple(
            Pair(p.a, p.b, tuple(tuple(v * by for v in row) for row in p.damage))
            for p in problem.pairs
        ),
        {name: cost * by for name, cost in problem.base.items()},
    )


@given(problems().filter(brute), st.sampled_from([1e-9, 0.1, 1 / 3, 1e3, 7e11]))
@settings(max_examples=60)
def test_units_do_not_change_the_answer(problem: Problem, by: float):
    assert solve(scaled(problem, by)).choice == solve(problem).choice


@given(problems().filter(lambda p: p.limits and brute(p)))
@settings(max_examples=60)
def test_a_tighter_limit_never_lowers_the_damage(problem: Problem):
    first, *others = problem.limits
    low = min(problem.used(first, choice) for choice in brute(problem))
    limits = (Limit(first.name, low, first.resources), *others)
    tight = Problem(problem.layers, limits, problem.ties, problem.pairs, problem.base)
    assert solve(tight).objective >= solve(problem).objective
    assert solve(tight).uses[0].used == low


# What a problem may be


WIDE, NARROW = option("wide", 0.0, size=100), option("narrow", 2.0, size=50)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: Problem(()), "the problem has no layers"),
        (lambda: Layer("a", ()), "layer a has no option"),
        (lambda: Layer("a", (WIDE, WIDE)), "layer a has several options named wide"),
        (lambda: Option("x", 0, 0.0), "option x: 0 bits: give 1 to 32"),
        (lambda: Option("x", 4, float("nan")), "option x: damage is nan"),
        (lambda: Option("x", 4, 0.0, {"size": float("inf")}), "option x: size is inf"),
        (lambda: Option("x", 4, 1e300), "option x: damage is 1e\\+300: give a finite number"),
        (
            lambda: Problem((Layer("a", (WIDE,)),), base={"size": float("nan")}),
            "the base costs nan size",
        ),
        (lambda: Limit("size", float("nan")), "limit size=nan: give a finite number"),
        (
            lambda: Layer("a", (WIDE, option("x", 0.0, time=1))),
            "layer a: option x costs time, option wide size",
        ),
        (
            lambda: Problem((Layer("a", (WIDE,)), Layer("b", (option("x", 0.0),)))),
            "layer b costs nothing, layer a size",
        ),
        (lambda: Problem((Layer("a", (WIDE,)),) * 2), "several layers named a"),
        (
            lambda: Problem((Layer("a", (WIDE,)),), (Limit("time", 1.0),)),
            "nothing costs time: there are size",
        ),
        (lambda: Problem((Layer("a", (WIDE,)),), base={"ram": 1}), "nothing costs ram"),
        (
            lambda: Problem((Layer("a", (WIDE,)),), (Limit("size", 1), Limit("size", 2))),
            "several limits named size",
        ),
        (
            lambda: Problem((Layer("a", (WIDE,)), Layer("b", (WIDE,))), ties=(Tie((0, 2)),)),
            "tie names layer 2: there are 0 to 1",
        ),
        (
            lambda: Problem((Layer("a", (WIDE,)), Layer("b", (NARROW,))), ties=(Tie((0, 1)),)),
            "tied layers a, b have no name in common",
        ),
        (
            lambda: Problem((Layer("a", (WIDE,)), Layer("b", (WIDE,))), ties=(Tie((0, 1), "w"),)),
            "layer a has options without w, which its tie compares",
        ),
        (lambda: Pair(1, 1, ((0.0,),)), "pair 1, 1: give two different layers"),
        (lambda: Pair(0, 1, ((float("inf"),),)), "damages are finite"),
        (
            lambda: Problem(
                (Layer("a", (WIDE, NARROW)), Layer("b", (WIDE,))), pairs=(Pair(0, 1, ((0.0,),)),)
            ),
            "pair a, b: give 2 rows of 1 damages",
        ),
        (
            lambda: Problem(
                (Layer("a", (WIDE,)), Layer("b", (WIDE,))),
                pairs=(Pair(0, 1, ((0.0,),)), Pair(1, 0, ((0.0,),))),
            ),
            "several pairs for the layers 0, 1",
        ),
    ],
)
def test_a_problem_that_means_nothing_is_not_built(build: Callable[[], object], said: str):
    with pytest.raises(UsageError, match=said):
        build()


def test_layers_may_have_different_options():
    problem = Problem(
        (
            Layer("a", (Option("W2A8", 2, 9.0, {"size": 1}), Option("W8A8", 8, 0.0, {"size": 4}))),
            Layer("b", (Option("float", 32, 0.0, {"size": 8}),)),
        ),
        (Limit("size", 12),),
    )
    found = solve(problem)
    assert (found.bits, found.used, found.limit) == ((8, 32), 12, 12)


def test_without_limits_each_layer_takes_what_damages_least():
    found = solve(Problem((layer("a", (3, 1), (1, 5)), layer("b", (0, 2), (4, 1)))))
    assert (found.choice, found.objective) == ((1, 0), 1)
    assert (found.used, found.limit) == (0.0, float("inf"))


def test_used_and_limit_are_those_of_the_tightest_limit():
    layers = (Layer("a", (option("x", 0.0, size=90, time=5),)),)
    found = solve(Problem(layers, (Limit("size", 100), Limit("time", 50))))
    assert (found.used, found.limit) == (90, 100)
    assert [(use.name, use.used) for use in found.uses] == [("size", 90), ("time", 5)]


def test_pairs_change_what_is_best():
    layers = (layer("a", (0, 2), (1, 1)), layer("b", (0, 2), (1, 1)))
    apart = Problem(layers, (Limit("size", 3),))
    together = Problem(layers, (Limit("size", 3),), pairs=(Pair(0, 1, ((0, 5), (0, 0))),))
    assert (solve(apart).choice, solve(together).choice) == ((0, 1), (1, 0))


def test_a_limit_that_no_assignment_keeps_names_the_nearest_value():
    problem = Problem((layer("a", (0, 8), (1, 4)), layer("b", (0, 8), (1, 3))), (Limit("size", 6),))
    with pytest.raises(OutOfReach, match="no assignment keeps size=6: size can be had from 7"):
        solve(problem)


def test_limits_that_exclude_each_other_are_said_to():
    choices = (option("small", 0.0, size=1, time=9), option("fast", 0.0, size=7, time=1))
    problem = Problem((Layer("a", choices),), (Limit("size", 5), Limit("time", 5)))
    with pytest.raises(OutOfReach) as refused:
        solve(problem)
    assert str(refused.value) == (
        "no assignment keeps size=5, time=5: size can be had from 7 with the others kept; "
        "time can be had from 9 with the others kept; together size=7, time=5 can be had"
    )


def test_ties_that_leave_nothing_are_said_to():
    layers = (layer("a", (0, 1)), layer("b", (0, 1), (0, 1)), layer("c", (0, 1), (0, 1)))
    only = Layer("d", (option("b", 0.0, size=1),))
    problem = Problem((*layers, only), ties=(Tie((0, 1)), Tie((1, 2)), Tie((2, 3))))
    with pytest.raises(OutOfReach, match="the ties leave no assignment"):
        solve(problem)


@pytest.mark.parametrize("over", [1e-2, 1e-4, 1e-5])
def test_a_limit_is_kept_however_little_is_over_it(over: float):
    layers = tuple(layer(f"l{i}", (0, 1e6 + over), (1, 1e6 - 1)) for i in range(6))
    found = solve(Problem(layers, (Limit("size", 6e6),)))
    assert (found.objective, found.used) == (1, pytest.approx(6e6 - 1))


def test_the_search_can_be_bounded_and_says_how_far_it_may_be_off():
    layers = tuple(
        layer(f"l{i}", (0, 97 + 31 * i % 57), (5 + i * 7 % 13, 41 + i * 17 % 23), (40 + i, 3))
        for i in range(30)
    )
    problem = Problem(layers, (Limit("size", 1600),))
    bounded, whole = solve(problem, nodes=1), solve(problem)
    assert whole.objective <= bounded.objective
    assert bounded.objective * (1 - bounded.gap) <= whole.objective + 1e-9


# The front


def test_the_front_goes_from_the_least_use_to_the_least_damage():
    problem = problem_from_dict(HAWQ, limit_on="latency", fraction=1.0)
    front = pareto(problem, "latency", 9)
    assert set(front[0].bits) == {4}
    assert set(front[-1].bits) == {8}
    assert len(front) > 5


@given(problems().filter(brute), st.integers(2, 6))
@settings(max_examples=60)
def test_no_point_of_a_front_is_as_good_as_another_that_uses_less(problem: Problem, points: int):
    front = pareto(problem, "size", points)
    spent = [problem.cost("size", found.choice) for found in front]
    damages = [found.objective for found in front]
    assert spent == sorted(set(spent))
    assert damages == sorted(set(damages), reverse=True)
    assert front[-1].objective == solve(problem).objective


def test_a_front_has_two_ends():
    with pytest.raises(UsageError, match="1 points make no front"):
        pareto(problem_from_dict(HAWQ), "size", 1)


def test_a_front_of_what_nothing_costs_is_refused():
    with pytest.raises(UsageError, match="nothing costs ram: there are size, bops, latency"):
        pareto(problem_from_dict(HAWQ), "ram", 5)
