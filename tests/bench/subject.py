"""A model with its calibration and what it is judged on: what benches of widths start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qcompile.cache import Cache, key
from qcompile.calibrate.collect import collect
from qcompile.calibrate.samples import open_samples
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.widths import Widths
from qcompile.models.fashion import Pictures, normalise, read_test, read_training
from qcompile.numerics.packing import packed_size
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.recipe import Recipe
from qcompile.read import load
from qcompile.sensitivity.study import Sample, Study, study
from qcompile.sensitivity.whole import Whole
from qcompile.stages import simplify, specify

MODELS: Final = Path(__file__).parents[2] / "models"
Values = NDArray[Any]
Assignment = Mapping[str, Widths]


@dataclass(frozen=True)
class Judged:
    """Of each test sample the squared error of its outputs, and its class."""

    errors: Values
    classes: Values

    def record(self) -> bytes:
        """As a cache keeps it."""
        return np.stack([self.errors, self.classes.astype(np.float64)]).tobytes()


def judged_from(record: bytes) -> Judged:
    """What `record` kept."""
    errors, classes = np.frombuffer(record).reshape(2, -1)
    return Judged(errors, classes.astype(np.int64))


@dataclass(frozen=True)
class Subject:
    """`real` is the simplified graph; `powers` and `classes` are the real outputs' on `test`."""

    name: str
    real: Graph
    given: Study
    whole: Whole = field(repr=False)
    test: Sequence[Sample] = field(repr=False)
    labels: Values | None = field(repr=False)
    outputs: Values = field(repr=False)
    cache: Cache | None = None

    def judged(self, assignment: Assignment) -> Judged:
        """The whole network under these widths, on the test samples; kept in the cache."""
        place = key("judged", self._digest, *(f"{n} {w}" for n, w in assignment.items()))
        known = None if self.cache is None else self.cache.get(place)
        if known is not None:
            return judged_from(known)
        found = flat(self.whole.outputs(assignment, self.test))
        judged = Judged(np.square(found - self.outputs).sum(1), found.argmax(1))
        if self.cache is not None:
            self.cache.put(place, judged.record())
        return judged

    @cached_property
    def _digest(self) -> str:
        tested = replace(self.given, samples=tuple(self.test))
        samples = (self.given.samples_digest(), tested.samples_digest())
        return key(self.given.graph_digest(), *samples)

    @property
    def powers(self) -> Values:
        """Σ y² of each test sample."""
        return np.square(self.outputs).sum(1)

    def damage(self, judged: Judged) -> float:
        """E‖y' − y‖² / E‖y‖²."""
        return float(judged.errors.sum() / self.powers.sum())

    def uniform(self, bits: int) -> dict[str, Widths]:
        """Every contraction in so many bits."""
        return {site.name: Widths(bits, 8) for site in self.given.sites}

    def size(self, assignment: Assignment) -> int:
        """Bytes of all packed weights, equal ones in equal bits counted once."""
        stored = {(s.weight.data.digest, assignment[s.name].weight): s for s in self.given.sites}
        return sum(packed_size(s.weight.data.size, bits) for (_, bits), s in stored.items())


@dataclass(frozen=True)
class Source:
    """Where the samples come from: two files of samples, or Fashion-MNIST's folder."""

    calib: str
    test: str
    fashion: Path | None


def prepared(
    model: Path,
    source: Source,
    *,
    samples: int,
    pictures: int,
    threads: int,
    cache: Cache | None = None,
) -> Subject:
    """The model read, simplified and calibrated at 8 bits."""
    real = simplify(load(model))
    recipe = Recipe()
    specified = specify(real, recipe)
    given, test, labels = _samples(real, source, samples, pictures)
    statistics = collect(specified, observed(specified), given, threads=threads)
    studied = study(specified, statistics, recipe, given, threads=threads)
    whole = Whole(studied, Calibrate(statistics).run(specified))
    outputs = flat(whole.real_outputs(test))
    return Subject(model.name, real, studied, whole, test, labels, outputs, cache)


def flat(outputs: Sequence[Any]) -> Values:
    """All outputs of a sample in one row, f64[samples, elements]."""
    rows = [np.asarray(y, np.float64).reshape(len(y), -1) for y in outputs]
    return np.concatenate(rows, 1)


def _samples(
    real: Graph, source: Source, samples: int, pictures: int
) -> tuple[list[Sample], list[Sample], Values | None]:
    if source.fashion is None:
        with np.load(source.test) as data:
            labels = data["label"][:pictures] if "label" in data.files else None
        rows = [
            list[Sample](islice(open_samples(file, real), count))
            for file, count in ((source.calib, samples), (source.test, pictures))
        ]
        return rows[0], rows[1], labels
    first, second = read_training(source.fashion), read_test(source.fashion)
    rows = [_pictures(real, found, n) for found, n in ((first, samples), (second, pictures))]
    return rows[0], rows[1], second.labels[:pictures]


def _pictures(real: Graph, found: Pictures, count: int) -> list[Sample]:
    shape = static(real.inputs[0].type.shape)
    grey = normalise(found.pixels[:count])
    return [(np.ascontiguousarray(np.broadcast_to(x, shape)),) for x in grey]
