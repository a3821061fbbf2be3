"""From a study to its table: estimators by name, what was found kept, what is missing measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from qcompile.cache import Cache, key
from qcompile.errors import UsageError
from qcompile.ir.widths import Widths
from qcompile.sensitivity.sites import Site
from qcompile.sensitivity.study import Study, asked
from qcompile.sensitivity.table import Sensitivities
from qcompile.sensitivity.together import Question, Together, Vector

FORMAT = "2"  # of a record
VECTOR = b"v"  # what the record of a vector begins with
DEFAULT = "output-error"
ESTIMATORS: Mapping[str, str] = {
    "output-error": "qcompile.sensitivity.output_error:OutputError",
    "output-error+pairs": "qcompile.sensitivity.output_error:OutputErrorPairs",
    "loss-coefficient": "qcompile.sensitivity.loss_coefficient:LossCoefficient",
    "hessian-trace": "qcompile.sensitivity.hessian:HessianTrace",
    "hessian-diagonal": "qcompile.sensitivity.hessian:HessianDiagonal",
    "hessian-eigenvalue": "qcompile.sensitivity.eigenvalue:HessianEigenvalue",
    "weight-error": "qcompile.sensitivity.closed_form:WeightError",
    "rate-distortion": "qcompile.sensitivity.closed_form:RateDistortion",
}


class Estimator(Protocol):
    """Damages one by one, as they are found; `facts` is what their bits depend on beside the
    study."""

    @property
    def name(self) -> str:
        """As the user gives it."""
        ...

    @property
    def facts(self) -> Mapping[str, str]:
        """Versions and settings."""
        ...

    def measure(
        self, study: Study, wanted: Mapping[str, Sequence[Widths]]
    ) -> Iterator[tuple[str, Widths, float | Vector]]:
        """A damage for every contraction's name and option wanted, in any order; or a vector whose
        squared length it is, and whose products with others are half of what both damage together.
        """
        ...


def estimator(name: str) -> Estimator:
    """The estimator of this name; `UsageError` lists the names there are."""
    if name not in ESTIMATORS:
        raise UsageError(f"no estimator {name!r}: give one of {', '.join(ESTIMATORS)}")
    module, attribute = ESTIMATORS[name].split(":")
    return getattr(import_module(module), attribute)()


def sensitivities(
    study: Study,
    wanted: Mapping[str, Sequence[Widths]],
    *,
    by: Estimator,
    cache: Cache | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Sensitivities:
    """The damage of every option that is wanted, in graph order.

    Each is recorded in the cache as soon as it is found, so a run that was ended at any moment goes
    on where it was, and gives the same table as one that was not. Samples that do not fit into
    memory together are measured in parts; the damage is the mean over samples.
    """
    questions = asked(study, wanted)
    total = dict.fromkeys(((site.name, widths) for site, widths in questions), 0.0)
    graph, together = study.graph_digest(), Together()
    for part in study.parts():
        keys = _keys(part, graph, questions, by)
        share = len(part.samples) / len(study.samples)
        vectors: dict[Question, Vector] = {}
        for question, found in _damages(part, keys, by, cache, say):
            if isinstance(found, np.ndarray):
                vectors[question] = found
            total[question] += share * _length(found)
        together = together.with_part(share, {q: vectors[q] for q in total if q in vectors})
    facts: dict[str, str | int] = {
        "graph": graph,
        "samples": study.samples_digest(),
        "count": len(study.samples),
        **by.facts,
    }
    return Sensitivities(by.name, facts, total, together)


def known_damages(
    study: Study, wanted: Mapping[str, Sequence[Widths]], *, by: Estimator, cache: Cache
) -> int:
    """How many of the damages need no measuring, since the cache has them for all samples."""
    questions, graph = asked(study, wanted), study.graph_digest()
    found = [
        {
            q
            for q, place in _keys(part, graph, questions, by).items()
            if _read(cache.get(place)) is not None
        }
        for part in study.parts()
    ]
    return len(set[tuple[str, Widths]].intersection(*found))


def _keys(
    part: Study, graph: str, questions: Sequence[tuple[Site, Widths]], by: Estimator
) -> dict[tuple[str, Widths], str]:
    """Where the cache has each damage."""
    samples = part.samples_digest()
    return {(site.name, w): _key(by, graph, samples, site, w) for site, w in questions}


def _damages(
    part: Study,
    keys: Mapping[Question, str],
    by: Estimator,
    cache: Cache | None,
    say: Callable[[str], None],
) -> Iterator[tuple[Question, float | Vector]]:
    missing: dict[str, list[Widths]] = {}
    for (name, widths), place in keys.items():
        known = None if cache is None else _read(cache.get(place))
        if known is None:
            missing.setdefault(name, []).append(widths)
        else:
            yield (name, widths), known
    done = len(keys) - sum(map(len, missing.values()))
    for name, widths, damage in by.measure(part, missing) if missing else ():
        if cache is not None:
            cache.put(keys[name, widths], _record(damage))
        done += 1
        say(f"sensitivities by {by.name}: {done} of {len(keys)}")
        yield (name, widths), damage


def _record(found: float | Vector) -> bytes:
    """A number as text, a vector as f32 behind a letter."""
    if isinstance(found, np.ndarray):
        return VECTOR + found.astype("<f4").tobytes()
    return json.dumps(found).encode()


def _read(record: bytes | None) -> float | Vector | None:
    """A record's damage; None for none, and for what is no record."""
    if record is not None and record.startswith(VECTOR) and not (len(record) - 1) % 4:
        return np.frombuffer(record, "<f4", offset=len(VECTOR))
    try:
        found: Any = None if record is None else json.loads(record)
    except ValueError:
        return None
    return found if isinstance(found, float) else None


def _length(found: float | Vector) -> float:
    """The damage."""
    if isinstance(found, np.ndarray):
        return float(np.square(found, dtype=np.float64).sum())
    return found


def _key(by: Estimator, graph: str, samples: str, site: Site, widths: Widths) -> str:
    formats = (
        site.formats[site.recipe.activation.elem.bits],
        site.formats[widths.activation],
        site.recipe.weight_of(widths.weight, site.axis),
    )
    facts = json.dumps([by.name, dict(sorted(by.facts.items())), site.name, str(widths)])
    return key("sensitivity", FORMAT, facts, graph, samples, repr(formats))
