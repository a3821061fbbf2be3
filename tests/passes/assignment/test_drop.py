"""The cheapest assignment whose measured drop is within bounds."""

from dataclasses import dataclass, field

import pytest

from qcompile.errors import UsageError
from qcompile.passes.assign_bits import Assignment, Layer, Limit, Option, Problem, pareto
from qcompile.passes.assignment.drop import within_drop

LAYERS = tuple(
    Layer(
        f"l{i}",
        tuple(
            Option(f"W{b}A8", b, (i + 1) * 4.0 ** (8 - b), {"size": 10.0 * b}) for b in (2, 4, 8)
        ),
    )
    for i in range(6)
)
FREE = Problem(LAYERS)


@dataclass
class Scales:
    """Measures a hundredth of the predicted damage and remembers what it was asked."""

    asked: list[tuple[int, ...]] = field(default_factory=list)

    def weigh(self, found: Assignment) -> float:
        self.asked.append(found.bits)
        return found.objective / 100


def size(found: Assignment) -> float:
    return FREE.cost("size", found.choice)


@pytest.mark.parametrize("at_most", [0.21, 1.0, 30.0, 200.0, 860.16])
def test_it_is_the_first_point_of_the_front_within_the_drop(at_most: float):
    found = within_drop(FREE, "size", measure=Scales().weigh, at_most=at_most, rounds=20)
    front = [each for each in pareto(FREE, "size", 37) if each.objective / 100 <= at_most]
    assert (size(found), found.objective) == (size(front[0]), front[0].objective)


def test_nothing_is_measured_twice():
    scales = Scales()
    within_drop(FREE, "size", measure=scales.weigh, at_most=5.0, rounds=30)
    assert len(scales.asked) == len(set(scales.asked))


def test_a_drop_that_everything_keeps_takes_the_fewest_bits():
    scales = Scales()
    found = within_drop(FREE, "size", measure=scales.weigh, at_most=1e9)
    assert set(found.bits) == {2}
    assert len(scales.asked) == 2


def test_limits_of_the_problem_are_kept():
    limited = Problem(LAYERS, (Limit("size", 300.0),))
    found = within_drop(limited, "size", measure=Scales().weigh, at_most=1e9)
    assert size(found) <= 300


def test_a_drop_that_cannot_be_kept_says_what_can():
    with pytest.raises(UsageError, match=r"the least that can be lost is 21%, more than 10%"):
        within_drop(FREE, "size", measure=Scales().weigh, at_most=0.1)
