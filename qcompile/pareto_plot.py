"""A front as a picture: damage over a resource, below it the drop where it was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from qcompile.pareto import Drawn, Point
from qcompile.report import show_amount

STYLE = {
    "svg.hashsalt": "qcompile",  # names of elements come from it, not from chance
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
FRONT, ALIKE = "#2166ac", "#5b6875"
LEAST = 1e-12  # of damage, where there is none: the axis is logarithmic


def plot(drawn: Drawn, folder: Path) -> None:
    """`pareto.svg` and `pareto.png`; the same front gives the same bytes."""
    library: Any = matplotlib  # its own stubs leave most types open
    with library.rc_context({**library.rcParamsDefault, **STYLE}):
        figure = _figure(drawn)
        figure.savefig(folder / "pareto.svg", metadata={"Date": None, "Creator": None})
        figure.savefig(folder / "pareto.png", dpi=150, metadata={"Software": None})


def _figure(drawn: Drawn) -> Any:
    """One field, or two of one width."""
    rows = 1 if drawn.metric is None else 2
    figure: Any = Figure(figsize=(8, 4.2 * rows), layout="constrained")
    fields = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    upper, lower = fields[0], fields[-1]
    upper.set_yscale("log")
    upper.set_ylabel(f"damage by {drawn.estimator}")
    _draw(upper, drawn, lambda point: max(point.damage, LEAST))
    if drawn.metric is not None:
        _draw(lower, drawn, lambda point: 100 * (point.drop or 0.0))
        lower.set_ylabel(f"measured drop by {drawn.metric}, %")
    lower.set_xlabel(drawn.on)

    def amount(x: float, _: int) -> str:
        return show_amount(x, drawn.on)

    lower.xaxis.set_major_formatter(amount)
    upper.legend(frameon=False)
    return figure


def _draw(field: Any, drawn: Drawn, height: Callable[[Point], float]) -> None:
    """The front's line and one named mark for each uniform choice."""
    points, alike = drawn.points, tuple(drawn.uniform.values())
    across = [point.used[drawn.on] for point in points]
    field.plot(across, [*map(height, points)], "o-", ms=4, color=FRONT, label="least damage")
    across = [point.used[drawn.on] for point in alike]
    label = "one width for all layers"
    field.plot(across, [*map(height, alike)], "s", ms=5, color=ALIKE, label=label)
    for name, x, point in zip(drawn.uniform, across, alike, strict=True):
        place = {"xytext": (6, 4), "textcoords": "offset points"}
        field.annotate(name, (x, height(point)), color=ALIKE, **place)
