"""Plans: what an assignment becomes, what the widths rule gets of it, which model it fits."""

import pytest

from qcompile.errors import UsageError
from qcompile.ir.widths import W4A8, W8A8, Widths
from qcompile.passes.assign_bits import Layer, Limit, Option, Pair, Problem, Tie, solve
from qcompile.passes.choose_widths import WidthRule, choose_widths
from qcompile.plan_choices import Plan, PlannedChoice, model_digest, plan_of, require_fits
from tests.helpers import read

TWO = """
    def f(x: f32[1, 4, 6, 6]):
        w: f32[4, 4, 1, 1] = const({})
        a = conv(x, w)
        y = conv(a, w)
        return y
    """

WIDE = Option("W8A8", 8, 0.0, {"size": 100.0})
NARROW = Option("W4A8", 4, 2.0, {"size": 50.0})
REAL = Option("float", 32, 0.0, {"size": 400.0})


def planned(*layers: Layer, limit: float, ties: tuple[Tie, ...] = ()) -> Plan:
    problem = Problem(layers, (Limit("size", limit),), ties)
    return plan_of(problem, solve(problem), "digest")


def test_a_plan_says_what_each_layer_gets_and_why():
    plan = planned(
        Layer("a", (WIDE, NARROW)),
        Layer("b", (WIDE, Option("W4A8", 4, 0.5, {"size": 50.0}))),
        Layer("c", (WIDE,)),
        limit=250,
    )
    assert {c.node: (str(c.widths), c.reason) for c in plan.choices} == {
        "a": ("W8A8", "no option damages less"),
        "b": ("W4A8", "0.5 more damage than W8A8 saves 50 size"),
        "c": ("W8A8", "the only option"),
    }


@pytest.mark.parametrize("damage", [0.0, -1e-9, -0.5], ids=["equal", "noise", "less"])
def test_fewer_bits_that_damage_no_more_are_taken_and_nothing_damages_less(damage: float):
    narrow = Option("W4A8", 4, damage, {"size": 50.0})
    (choice,) = planned(Layer("a", (narrow, WIDE)), limit=1000).choices
    assert (str(choice.widths), choice.reason) == ("W4A8", "no option damages less")


def test_more_bits_that_damage_more_are_not_the_ones_to_compare_with():
    wide = Option("W8A8", 8, 0.3, {"size": 100.0})
    middle = Option("W6A8", 6, 0.25, {"size": 75.0})
    (choice,) = planned(Layer("a", (NARROW, middle, wide)), limit=60).choices
    assert choice.reason == "1.75 more damage than W6A8 saves 25 size"


def test_a_choice_that_pays_only_with_others_says_so():
    both = (Option("W4A8", 4, 0.1, {"size": 50.0}), Option("W8A8", 8, 0.2, {"size": 100.0}))
    pairs = (Pair(0, 1, ((0.5, 0.4), (0.4, -0.3))),)
    problem = Problem((Layer("a", both), Layer("b", both)), (Limit("size", 200),), pairs=pairs)
    plan = plan_of(problem, solve(problem), "digest")
    reason = "0.1 more damage alone than W4A8, less together with others"
    assert [(str(c.widths), c.reason) for c in plan.choices] == [("W8A8", reason)] * 2


def test_a_reason_names_the_layers_that_are_tied():
    both = (WIDE, NARROW)
    plan = planned(Layer("a", both), Layer("b", both), limit=100, ties=(Tie((0, 1)),))
    assert [c.reason for c in plan.choices] == [
        "2 more damage than W8A8 saves 50 size; tied to b",
        "2 more damage than W8A8 saves 50 size; tied to a",
    ]


def test_a_plan_keeps_what_the_solver_said():
    solved = planned(Layer("a", (WIDE, NARROW)), limit=60).solved
    assert solved is not None
    assert (solved.objective, solved.gap, solved.limits) == (2.0, 0.0, {"size": (50.0, 60)})


def test_what_stays_in_float_is_excluded_and_has_no_widths():
    plan = planned(Layer("a", (REAL,)), Layer("b", (WIDE,)), limit=500)
    assert (plan.excluded, plan.overrides) == (("a",), {"b": W8A8})


def test_widths_of_a_plan_reach_the_rule():
    graph = read(TWO.format("..."))
    plan = Plan("", (PlannedChoice("a", W4A8), PlannedChoice("y", Widths(3, 4))))
    found = choose_widths(graph, WidthRule(overrides=plan.overrides))
    assert {n.name: c.widths for n, c in found.items()} == {"a": W4A8, "y": Widths(3, 4)}


@pytest.mark.parametrize(
    ("name", "pattern"), [("a[1]*", "a[[]1][*]"), ("op:conv", "[o]p:conv"), ("/b/Conv", "/b/Conv")]
)
def test_a_name_that_looks_like_a_pattern_means_one_node(name: str, pattern: str):
    assert list(Plan("", (PlannedChoice(name, W4A8),)).overrides) == [pattern]


def test_the_digest_tells_models_with_other_weights_apart():
    one, same, other = (read(TWO.format(v)) for v in ([0.5] * 16, [0.5] * 16, [0.25] * 16))
    assert model_digest(one) == model_digest(same) != model_digest(other)


def test_a_plan_for_this_model_is_taken():
    require_fits(Plan("m1", (PlannedChoice("a", W4A8),)), "m1", ["a", "b"])


@pytest.mark.parametrize(
    ("model", "node", "said"),
    [
        ("m2", "conv1", "made for the model m2, this one is m1"),
        ("m1", "conv9", "chooses for conv9: did you mean conv1"),
        ("m1", "pool", "chooses for pool: it has no such contraction"),
    ],
)
def test_a_plan_for_another_model_is_refused(model: str, node: str, said: str):
    with pytest.raises(UsageError, match=said):
        require_fits(Plan(model, (PlannedChoice(node, W4A8),)), "m1", ["conv1", "fc"])


def test_a_node_is_chosen_for_once():
    with pytest.raises(UsageError, match="more than once for a"):
        Plan("", (PlannedChoice("a", W4A8), PlannedChoice("a", W8A8)))
