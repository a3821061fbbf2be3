"""The least of one objective over a model's choices, by HiGHS, with every cap checked exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import optimize
from scipy.sparse import csr_array

from qcompile.errors import QcompileError
from qcompile.passes.assignment.model import LARGEST, Cap, Choice, Equation, Model, Vector
from qcompile.passes.assignment.silence import silenced

INFEASIBLE = 2  # of milp's statuses
CUTS = 1000
TINY = 1e-200


@dataclass(frozen=True)
class Task:
    """Minimise `objective` where caps and equations hold; `peaks` bound the last column from below.

    A peak `(coefficients, offset)` says Σ coefficients · columns + offset ≤ last column.
    """

    model: Model
    objective: Vector
    caps: tuple[Cap, ...]
    equations: tuple[Equation, ...] = ()
    peaks: tuple[tuple[Vector, float], ...] = ()
    nodes: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A choice that keeps all caps, and a proven lower bound of the objective."""

    choice: Choice
    bound: float


def least(task: Task) -> Found | None:
    """The best choice; None when there is none.

    The solver takes a cap as kept within a tolerance. A choice that is over it by the exact sum is
    cut off, together with all that cost no less, and the search is repeated. When `nodes` of the
    search tree are not enough, the choice is the best one seen and the bound says how far it may
    be from the best.
    """
    cuts: tuple[Cap, ...] = ()
    for _ in range(CUTS):
        found = _solved(replace(task, caps=(*task.caps, *cuts)))
        if found is None:
            return None
        point = task.model.point(found.choice)
        broken = [cap for cap in task.caps if not cap.admits(point)]
        if not broken:
            return found
        cuts = (*cuts, *(_cut(task.model, cap, found.choice) for cap in broken))
    raise QcompileError(
        f"{CUTS} choices are over a limit by less than the solver can tell: "
        "change the limits in the ninth digit"
    )


def _cut(model: Model, cap: Cap, choice: Choice) -> Cap:
    """Not these layers all at what they cost now or more: the largest costs that break the cap."""
    rows = cap.coefficients
    if rows[model.choices : model.last].any():
        return Cap(model.point(choice) * _options(model), len(choice) - 1, 0.0)
    spans = zip(model.starts, model.sizes, choice, strict=True)
    excess = [float(rows[s + k] - rows[s : s + n].min()) for s, n, k in spans]
    room = cap.excess(model.point(choice)) - cap.slack
    wanted = model.zeros()
    count = 0
    for layer in sorted(range(len(choice)), key=lambda place: (excess[place], place)):
        if excess[layer] < room:
            room -= excess[layer]
            continue
        start, size = model.starts[layer], model.sizes[layer]
        costs = rows[start : start + size]
        wanted[start : start + size] = costs >= costs[choice[layer]]
        count += 1
    return Cap(wanted, count - 1, 0.0)


def _options(model: Model) -> Vector:
    """1 for the options' columns."""
    found = model.zeros()
    found[: model.choices] = 1
    return found


def _solved(task: Task) -> Found | None:
    """One run of HiGHS on the scaled programme."""
    model = task.model
    scale = _scale(task.objective)
    shift = _shift(model, task.objective)
    upper = np.ones(model.last + 1)
    upper[-1] = np.inf
    solver: Any = optimize  # its stubs know neither arrays of bounds nor the answer's fields
    with silenced():
        answer = solver.milp(
            (task.objective - shift) * scale,
            integrality=_options(model),
            bounds=solver.Bounds(np.zeros(model.last + 1), upper),
            constraints=solver.LinearConstraint(*_constraints(task)),
            options={
                "mip_rel_gap": 0.0,
                **({} if task.nodes is None else {"node_limit": task.nodes}),
            },
        )
    if answer.status == INFEASIBLE:
        return None
    if answer.x is None:
        raise QcompileError(f"the solver gave up: {answer.message}: allow it more nodes")
    whole = float(shift[: model.choices][list(model.starts)].sum())
    return Found(model.choice(answer.x), answer.mip_dual_bound / scale + whole)


def _shift(model: Model, coefficients: Vector) -> Vector:
    """The least coefficient of each layer, at all of its options: no choice changes by it."""
    found = model.zeros()
    found[: model.choices] = np.repeat(
        np.minimum.reduceat(coefficients[: model.choices], model.starts), model.sizes
    )
    return found


def _scale(coefficients: Vector) -> float:
    """What makes the largest magnitude `LARGEST`; 1 where all are next to 0."""
    largest = float(np.abs(coefficients).max())
    return LARGEST / largest if largest > TINY else 1.0


def _constraints(task: Task) -> tuple[Any, Vector, Vector]:
    """Equations, caps and peaks as rows of one sparse matrix, between two bounds."""
    equations = (*task.model.equations, *task.equations)
    wide = np.zeros((len(equations), task.model.last + 1))
    for row, equation in zip(wide, equations, strict=True):
        row[list(equation.columns)] = equation.weights
    values = np.array([equation.value for equation in equations])
    bounded = [*(_row(task.model, cap) for cap in task.caps), *(_peak(p) for p in task.peaks)]
    rows = np.vstack([wide, *(row for row, _ in bounded)])
    high = np.concatenate([values, [bound for _, bound in bounded]])
    low = np.concatenate([values, np.full(len(bounded), -np.inf)])
    return csr_array(rows), low, high


def _row(model: Model, cap: Cap) -> tuple[Vector, float]:
    """A cap above the cheapest choice, scaled."""
    shift = _shift(model, cap.coefficients)
    row = cap.coefficients - shift
    scale = _scale(row)
    cheapest = float(shift[list(model.starts)].sum())
    return row * scale, (cap.bound - cheapest + cap.slack) * scale


def _peak(peak: tuple[Vector, float]) -> tuple[Vector, float]:
    """A peak as a row."""
    coefficients, offset = peak
    row = coefficients.copy()
    row[-1] = -1
    return row * LARGEST, -offset * LARGEST
