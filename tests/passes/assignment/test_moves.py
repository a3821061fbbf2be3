"""Descent by moves finds what an exhaustive search finds, and its bound is one."""

from itertools import product

import numpy as np
import pytest

from qcompile.passes.assignment.model import Choice
from qcompile.passes.assignment.moves import crowded, descended
from qcompile.passes.assignment.problem import Layer, Limit, Option, Pair, Problem, Tie
from qcompile.passes.assignment.reach import OutOfReach
from qcompile.passes.assignment.solution import solve

BITS = (2, 3, 4)


def gram(seed, layers, *, limit=None, ties=(), bits=BITS, common=0.3):
    """Damages and pairs of random errors that get less with every bit, sizes of 3, 4, 5 and so on
    times the bits; the limit is that of 3 bits everywhere."""
    rng = np.random.default_rng(seed)
    shape = (layers, len(bits), 6)
    errors = (rng.standard_normal(shape) + common) * np.exp2(-np.array(bits))[None, :, None]
    places = [
        Layer(
            f"layer {i}",
            tuple(
                Option(
                    str(b), b, float(np.square(errors[i, k]).sum()), {"size": float(b * (i + 3))}
                )
                for k, b in enumerate(bits)
            ),
        )
        for i in range(layers)
    ]
    pairs = [
        Pair(i, j, tuple(tuple(float(x) for x in row) for row in 2 * errors[i] @ errors[j].T))
        for i in range(layers)
        for j in range(i + 1, layers)
    ]
    at_most = sum(3 * (i + 3) for i in range(layers)) if limit is None else limit
    return Problem(tuple(places), (Limit("size", at_most),), tuple(ties), tuple(pairs))


def keeps(problem, choice):
    """By the definition of limits and ties."""
    chosen = [layer.options[k] for layer, k in zip(problem.layers, choice, strict=True)]
    alike = (len({chosen[i].trait(tie.on) for i in tie.layers}) == 1 for tie in problem.ties)
    limit = problem.limits[0]
    return all(alike) and problem.used(limit, choice) <= limit.at_most


def exhausted(problem):
    """The least damage of all choices."""
    spaces = [range(len(layer.options)) for layer in problem.layers]
    return min(problem.damage(c) for c in product(*spaces) if keeps(problem, c))


def descent(problem: Problem) -> tuple[Choice, float]:
    """The choice and the bound, of a problem that has a choice."""
    found = descended(problem)
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(8))
def test_it_finds_the_least_of_small_problems_and_bounds_it(seed):
    problem = gram(seed, 6)
    choice, bound = descent(problem)
    assert keeps(problem, choice)
    assert problem.damage(choice) == pytest.approx(exhausted(problem), rel=1e-9)
    assert bound <= problem.damage(choice) + 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_pairs_of_either_sign_and_no_square_are_bounded_too(seed):
    rng = np.random.default_rng(seed)
    problem = gram(seed, 5)
    wild = tuple(
        Pair(p.a, p.b, tuple(tuple(map(float, rng.normal(0, 0.2, 3))) for _ in BITS))
        for p in problem.pairs
    )
    problem = Problem(problem.layers, problem.limits, (), wild)
    _, bound = descent(problem)
    assert bound <= exhausted(problem) + 1e-12


@pytest.mark.parametrize("ties", [(Tie((0, 3)),), (Tie((0, 2)), Tie((1, 4)))], ids=["one", "two"])
@pytest.mark.parametrize("seed", range(3))
def test_two_tied_layers_move_together(seed, ties):
    problem = gram(seed, 6, ties=ties)
    choice, _ = descent(problem)
    assert keeps(problem, choice)
    assert problem.damage(choice) == pytest.approx(exhausted(problem), rel=0.02)


def test_three_tied_layers_keep_their_tie():
    problem = gram(1, 6, ties=(Tie((0, 2, 5)),))
    choice, _ = descent(problem)
    assert keeps(problem, choice)


def test_no_move_of_one_or_two_layers_is_better():
    problem = gram(5, 9)
    choice, _ = descent(problem)
    least = problem.damage(choice)
    moved = (
        tuple({i: k, j: m}.get(place, now) for place, now in enumerate(choice))
        for i, j in product(range(9), repeat=2)
        for k, m in product(range(3), repeat=2)
    )
    assert all(problem.damage(c) >= least - 1e-12 for c in moved if keeps(problem, c))


def test_solving_a_crowded_problem_says_how_far_from_the_best_it_may_be():
    problem = gram(2, 24, bits=(2, 3, 4, 6, 8), common=0.0)
    assert crowded(problem)
    found, again = solve(problem), solve(problem)
    assert found == again
    assert found.used <= found.limit
    assert found.gap > 0
    alone = solve(Problem(problem.layers, problem.limits))
    assert found.objective <= problem.damage(alone.choice)


def test_a_limit_that_cannot_be_kept_is_named_in_spite_of_pairs():
    with pytest.raises(OutOfReach, match="size can be had from 696"):
        solve(gram(2, 24, bits=(2, 3, 4, 6, 8), limit=600))


def test_without_pairs_enough_the_search_is_exact():
    problem = gram(3, 5)
    assert not crowded(problem)
    assert solve(problem).gap == 0.0
    assert solve(problem).objective == pytest.approx(descended_damage(problem))


def descended_damage(problem):
    """What the descent finds."""
    choice, _ = descent(problem)
    return problem.damage(choice)
