"""What a whole quantized network loses, measured on samples by the interpreter."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from itertools import islice

from qcompile.analysis.ends import compared
from qcompile.cache import Cache, default_cache, key
from qcompile.calibrate.collect import in_order
from qcompile.calibrate.samples import open_samples
from qcompile.digests import compiler_digest, samples_digest
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.text import dump
from qcompile.ir.types import Array
from qcompile.metric import Metric, wanted_metric
from qcompile.options import Options
from qcompile.passes.recipe import Recipe
from qcompile.quality import counterparts, values_at

SAMPLES = 512  # the drop is measured on at most so many
MEMORY = 1 << 28  # bytes for their outputs
FORMAT = "1"  # of a record


@dataclass(frozen=True)
class Drop:
    """What was lost, by which metric, on how many samples; `bound` is what may be lost."""

    metric: str
    value: float
    bound: float | None
    samples: int

    def as_dict(self) -> dict[str, str | float | int | None]:
        """The summary's entry."""
        return {
            "metric": self.metric,
            "value": float(f"{self.value:.6g}"),
            "bound": self.bound,
            "samples": self.samples,
        }


@dataclass(frozen=True)
class Judge:
    """A float graph's outputs on samples, and a metric to compare others with them."""

    real: Graph
    metric: Metric
    samples: tuple[tuple[Array, ...], ...] = field(repr=False)
    calibration: str
    threads: int = 1
    cache: Cache | None = field(default=None, repr=False)

    def drop(self, specified: Graph, recipe: Recipe, integer: Callable[[], Graph]) -> float:
        """The drop of the integer graph that the specified one becomes. It is built only when no
        earlier run has measured it."""
        place = key("drop", FORMAT, self._facts, dump(specified), repr(recipe))
        record = None if self.cache is None else self.cache.get(place)
        if record is not None:
            return float(json.loads(record))
        found = self._measured(integer())
        if self.cache is not None:
            self.cache.put(place, json.dumps(found).encode())
        return found

    def _measured(self, integer: Graph) -> float:
        ends = dict(integer.outputs)
        if self.metric.judged:
            ends = counterparts(integer, self._ends)
            _require_all(self._ends, ends, integer)
        return self.metric.drop(self._wanted, self._outputs(integer, ends))

    @cached_property
    def _wanted(self) -> list[Mapping[str, Array]]:
        return self._outputs(self.real, self._ends)

    @property
    def _ends(self) -> dict[str, Node]:
        return dict(compared(self.real) if self.metric.judged else self.real.outputs)

    def _outputs(self, graph: Graph, ends: Mapping[str, Node]) -> list[Mapping[str, Array]]:
        work = in_order(lambda s: values_at(graph, s, ends), self.samples, threads=self.threads)
        return list(work)

    @cached_property
    def _facts(self) -> str:
        judged = samples_digest(self.samples)
        parts = [self.metric.name, judged, self.calibration, version("numpy"), compiler_digest()]
        return json.dumps(parts)


def judge(real: Graph, options: Options) -> Judge:
    """By the options' metric, on their samples. `UsageError` when there are none."""
    if options.calib is None:
        raise UsageError("--max-drop and --metric measure on samples: give some with --calib")
    metric = wanted_metric(options.metric, real)
    size = sum(node.type.elem.storage.itemsize * _count(node) for _, node in real.outputs)
    most = min(SAMPLES, max(MEMORY // max(size, 1), 1))
    samples = open_samples(options.calib, real)
    folder = default_cache(os.environ) if metric.judged else None  # a user's function may change
    cache = None if folder is None else Cache(folder)
    drawn = tuple(islice(samples, most))
    return Judge(real, metric, drawn, samples_digest(samples), options.threads, cache)


def _require_all(ends: Mapping[str, Node], found: Mapping[str, Node], integer: Graph) -> None:
    """`UsageError` for outputs of which the integer graph does not name the judged value."""
    lacking = [name for name in ends if name not in found]
    if lacking:
        raise UsageError(
            f"{integer.name}: what is judged of {', '.join(lacking)} has no name of its own among "
            "the integers: give --metric package.module:callable"
        )


def _count(node: Node) -> int:
    """Elements of the node's value."""
    count = 1
    for length in node.type.shape:
        count *= length if isinstance(length, int) else 1
    return count
