"""Bits for each layer, chosen exactly: least damage under limits on what the choice costs.

    problem = problem_from_dict(json.loads(text), limit_on="bops", fraction=0.5)
    solve(problem).bits

Stable: `problem_from_dict` and `solve`, and of what `solve` returns `bits` (one for each layer),
`objective`, `used`, `limit` and `gap`.
"""

from __future__ import annotations

from qcompile.passes.assignment.drop import within_drop
from qcompile.passes.assignment.front import pareto
from qcompile.passes.assignment.graph_ties import shared_inputs, shared_weights
from qcompile.passes.assignment.hawq_file import problem_from_dict
from qcompile.passes.assignment.problem import Layer, Limit, Option, Pair, Problem, Tie
from qcompile.passes.assignment.reach import OutOfReach
from qcompile.passes.assignment.solution import Assignment, Use, solve
from qcompile.passes.assignment.widths import NamedTie, problem_of_widths

__all__ = [
    "Assignment",
    "Layer",
    "Limit",
    "NamedTie",
    "Option",
    "OutOfReach",
    "Pair",
    "Problem",
    "Tie",
    "Use",
    "pareto",
    "problem_from_dict",
    "problem_of_widths",
    "shared_inputs",
    "shared_weights",
    "solve",
    "within_drop",
]
