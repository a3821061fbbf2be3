"""The plan file: the same bytes, the same plan back, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.errors import UsageError
from qcompile.ir.widths import W4A8, Widths
from qcompile.plan_choices import Front, Plan, PlannedChoice, Solved
from qcompile.plan_file import parse_plan, plan_text, read_plan, write_plan

TEXT = """\
{
 "format": "qcompile plan",
 "version": 1,
 "model": "abc",
 "solver": {"objective": 0.5, "gap": 0.0, "limits": {"size": {"used": 50.0, "limit": 60.0}}},
 "choices": [
  {"node": "a", "widths": "W4A8", "damage": 0.5, "costs": {"size": 50.0}, "reason": "cheap"},
  {"node": "b", "widths": "float", "damage": 0.0, "costs": {}, "reason": ""}
 ]
}
"""
PLAN = Plan(
    "abc",
    (PlannedChoice("a", W4A8, 0.5, {"size": 50.0}, "cheap"), PlannedChoice("b", None)),
    Solved(0.5, 0.0, {"size": (50.0, 60.0)}),
)

numbers = st.floats(allow_nan=False, allow_infinity=False)
costs = st.dictionaries(st.text(max_size=3), numbers, max_size=2)
widths = st.none() | st.builds(Widths, st.integers(2, 8), st.sampled_from([4, 8]))
choices = st.builds(PlannedChoice, st.text(min_size=1), widths, numbers, costs, st.text())
solved = st.builds(
    Solved, numbers, numbers, st.dictionaries(st.text(), st.tuples(numbers, numbers), max_size=2)
)
points = st.tuples(numbers, numbers)
fronts = st.builds(
    Front,
    st.text(),
    st.lists(points, max_size=3).map(tuple),
    st.dictionaries(st.text(), points, max_size=2),
)
plans = st.builds(
    Plan,
    st.text(),
    st.lists(choices, max_size=3, unique_by=lambda choice: choice.node).map(tuple),
    st.none() | solved,
    st.none() | st.text(),
    st.none() | fronts,
)


def test_a_plan_is_one_line_for_each_choice():
    assert plan_text(PLAN) == TEXT


@given(plans)
def test_a_plan_comes_back_as_it_was(plan: Plan):
    assert parse_plan(plan_text(plan)) == plan


def test_a_file_comes_back_as_it_was(tmp_path: Path):
    write_plan(PLAN, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == PLAN


def test_a_plan_by_hand_needs_nodes_and_widths_only():
    text = (
        '{"format": "qcompile plan", "version": 1, "model": "", '
        '"choices": [{"node": "a", "widths": "w4a8"}]}'
    )
    assert parse_plan(text) == Plan("", (PlannedChoice("a", W4A8),))


def altered(**changes: Any) -> str:
    return json.dumps(json.loads(TEXT) | changes)


def chosen(**changes: Any) -> str:
    return altered(choices=[{"node": "a", "widths": "W4A8"} | changes])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{\n1", "not JSON in line 2"),
        ("[]", r"the plan is \[\]: give an object"),
        ("{}", "not a plan: its format is None"),
        (altered(format="table"), "its format is 'table', not 'qcompile plan'"),
        (altered(version=2), "a plan of version 2: this qcompile reads 1"),
        (altered(model=None), "model is None"),
        (altered(choices={}), "choices is {}: give a list"),
        (altered(choices=["a"]), "a choice is 'a': give an object"),
        (altered(solver=[]), r"solver is \[\]: give an object"),
        (altered(solver={"gap": 0}), "solver: objective is None"),
        (altered(estimator=3), "estimator is 3: give a name"),
        (altered(front={"points": []}), "front: give on"),
        (altered(front={"on": "size", "points": [[1]]}), r"front: \[1\] is no point"),
        (altered(front={"on": "size", "points": [], "uniform": {"W4A8": 1}}), "W4A8: 1 is no"),
        (chosen(node=""), "node is ''"),
        (chosen(bits=4), "a: a choice has no bits"),
        (chosen(widths=None), "a: widths is None: give such as W4A8, or float"),
        (chosen(widths="four"), "a: widths: four: no such scheme"),
        (chosen(widths="W9A8"), "weights have 2 to 8 bits, not 9"),
        (chosen(damage="high"), "a: damage is 'high'"),
        (chosen(costs={"size": True}), "a: size is True"),
        (chosen(reason=1), "a: reason is 1"),
        (chosen(damage=float("nan")), "NaN in the plan"),
        (altered(choices=[{"node": "a", "widths": "W4A8"}] * 2), "more than once for a"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, said: str):
    with pytest.raises(UsageError, match=said):
        parse_plan(text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match=r"--plan .*none\.json cannot be read"):
        read_plan(tmp_path / "none.json")


def test_an_error_names_the_file(tmp_path: Path):
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(UsageError, match=r"plan\.json: not a plan"):
        read_plan(tmp_path / "plan.json")
