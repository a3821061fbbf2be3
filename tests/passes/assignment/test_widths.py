"""From damages and costs of contractions to a problem, and on to widths."""

import pytest

from qcompile.errors import UsageError
from qcompile.ir.widths import W4A4, W4A8, W8A8, Widths
from qcompile.passes.assign_bits import solve
from qcompile.passes.assignment.widths import NamedTie, problem_of_widths

DAMAGES = {
    ("a", W8A8): 0.0,
    ("a", W4A8): 5.0,
    ("a", W4A4): 7.0,
    ("b", W8A8): 0.0,
    ("b", W4A8): 1.0,
    ("b", W4A4): 3.0,
}
COSTS = {
    (name, widths): {"size": 10.0 * widths.weight, "first": 1.0 * widths.activation, "last": 8.0}
    for name, widths in DAMAGES
}


def chosen(budget: dict[str, float], *ties: NamedTie) -> tuple[str, ...]:
    found = solve(problem_of_widths(DAMAGES, COSTS, budget, ties=ties))
    return tuple(option.name for option in found.options)


def test_the_layer_that_suffers_less_gets_fewer_bits():
    assert chosen({"size": 120}) == ("W8A8", "W4A8")


def test_a_tie_may_bind_activations_only():
    alike = NamedTie(("a", "b"), "activation")
    assert chosen({"first": 12}) == ("W8A8", "W4A4")
    assert chosen({"first": 12}, alike) == ("W4A4", "W4A4")
    assert chosen({"size": 120}, alike) == ("W8A8", "W4A8")


def test_a_tie_keeps_those_of_its_nodes_that_have_a_choice():
    assert chosen({"size": 120}, NamedTie(("a", "elsewhere"), "weight")) == ("W8A8", "W4A8")


def test_a_tie_of_layers_that_cannot_agree_is_left_out():
    apart = {("a", W8A8): 0.0, ("b", W4A4): 1.0}
    tie = NamedTie(("a", "b"), "activation")
    assert solve(problem_of_widths(apart, COSTS, {}, ties=(tie,))).bits == (8, 4)


def test_equal_damage_takes_fewer_bits():
    same = dict.fromkeys(DAMAGES, 1.0)
    assert solve(problem_of_widths(same, COSTS, {})).bits == (4, 4)


def test_a_peak_is_kept_at_every_step():
    problem = problem_of_widths(
        DAMAGES, COSTS, {"ram": 26}, base={"last": 10.0}, peaks={"ram": ("first", "last")}
    )
    assert (solve(problem).used, solve(problem).limit) == (26, 26)


def test_an_option_without_costs_is_named():
    damages = {**DAMAGES, ("c", Widths(3, 8)): 0.0}
    with pytest.raises(UsageError, match="no costs of c in W3A8"):
        problem_of_widths(damages, COSTS, {})


def test_a_limit_on_what_is_not_known_is_refused():
    with pytest.raises(UsageError, match="nothing costs latency: there are size, first, last"):
        problem_of_widths(DAMAGES, COSTS, {"latency": 1.0})
