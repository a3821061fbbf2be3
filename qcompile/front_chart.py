"""A Pareto front as a drawing: places, not pixels of a font, so that it is the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, log10
from typing import Any

WIDTH, HEIGHT = 640, 280  # of the field within the axes
MARGIN = 0.04  # of the span, on each side
STEPS = 5  # ticks along the axis of a resource, about
LEAST = 1e-12  # of damage, where there is none

Point = Sequence[float]


def front_chart(
    front: Mapping[str, Any], chosen: Point | None, show: Callable[[float], str]
) -> dict[str, Any]:
    """The front's line and points, those of one width for all layers, and the chosen one, on an
    axis of the resource and a logarithmic one of damage; `show` writes an amount of the resource.
    """
    uniform: Mapping[str, Point] = front["uniform"]
    all_points = [*front["points"], *uniform.values(), *([] if chosen is None else [chosen])]
    across = _Axis([x for x, _ in all_points], WIDTH)
    up = _Axis([_log(y) for _, y in all_points], HEIGHT)

    def placed(point: Point) -> dict[str, Any]:
        x, y = across.place(point[0]), HEIGHT - up.place(_log(point[1]))
        return {"x": x, "y": round(y, 1), "says": f"{show(point[0])}, damage {point[1]:.3g}"}

    points = [placed(point) for point in front["points"]]
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "line": "M" + "L".join(f"{p['x']},{p['y']}" for p in points),
        "points": points,
        "uniform": [{"name": name, **placed(point)} for name, point in uniform.items()],
        "chosen": None if chosen is None else placed(chosen),
        "across": [{"at": across.place(x), "label": show(x)} for x in _steps(across.lo, across.hi)],
        "up": [{"at": round(HEIGHT - up.place(d), 1), "label": f"1e{d}"} for d in _powers(up)],
    }


class _Axis:
    """Values on a length, with a margin on both sides."""

    def __init__(self, values: Sequence[float], length: float) -> None:
        lo, hi = min(values), max(values)
        pad = MARGIN * ((hi - lo) or abs(hi) or 1.0)
        self.lo, self.hi, self._length = lo - pad, hi + pad, length

    def place(self, value: float) -> float:
        return round(self._length * (value - self.lo) / (self.hi - self.lo), 1)


def _log(damage: float) -> float:
    return log10(max(damage, LEAST))


def _powers(axis: _Axis) -> list[int]:
    """Whole powers of ten on the axis."""
    return list(range(ceil(axis.lo), floor(axis.hi) + 1))


def _steps(lo: float, hi: float) -> list[float]:
    """Round values between the ends, 1, 2 or 5 times a power of ten apart."""
    wanted = (hi - lo) / STEPS
    power = 10.0 ** floor(log10(wanted))
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= wanted)
    return [step * k for k in range(ceil(lo / step), floor(hi / step) + 1)]
