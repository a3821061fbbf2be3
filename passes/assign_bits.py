"""Bits for each layer, chosen exactly: least damage under limits on what the choice costs.

Stable: `problem_from_dict` and `solve`, with `bits`, `objective`, `used`, `limit` and `gap` of what
`solve` returns.
"""

from __future__ import annotations

from qcompile.passes.assignment.front import pareto
from qcompile.passes.assignment.hawq_file import problem_from_dict
from qcompile.passes.assignment.problem import Layer, Limit, Option, Pair, Problem, Tie
from qcompile.passes.assignment.reach import OutOfReach
from qcompile.passes.assignment.solution import Assignment, Use, solve

__all__ = [
    "Assignment",
    "Layer",
    "Limit",
    "Option",
    "OutOfReach",
    "Pair",
    "Problem",
    "Tie",
    "Use",
    "pareto",
    "problem_from_dict",
    "solve",
]
