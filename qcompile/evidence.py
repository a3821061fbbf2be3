"""What calibration rests on: the user's samples, or noise on a twin with matched statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from qcompile.analysis.memory import peak_bytes
from qcompile.calibrate.bursts import collect_bursts
from qcompile.calibrate.collect import bare, collect
from qcompile.calibrate.datafree import has_statistics, matched_twin, noise
from qcompile.calibrate.samples import Samples, open_samples
from qcompile.calibrate.statistics import Statistics
from qcompile.ir.graph import Graph
from qcompile.ir.ops.quant import Observe
from qcompile.ir.types import Array
from qcompile.options import Options
from qcompile.passes.calibrate import observed
from qcompile.passes.recipe import Recipe
from qcompile.progress import Count, Progress
from qcompile.stages import simplify, specify

TOGETHER = 16  # samples for measuring mean errors
MEMORY = 1 << 29  # bytes for their values
HELD_BACK = 8  # of the samples at most so many, and at most one in eight, are kept for measuring
Sample = Sequence[Array]


@dataclass(frozen=True)
class Evidence:
    """Statistics of every observed edge, and where they come from.

    `held_back` are samples that calibration did not see, `seen` all that it did, `used` a few of
    these. Without data `twin` is the marked float graph that the samples belong to.
    """

    source: str
    count: int
    remark: str
    statistics: list[Statistics] = field(repr=False)
    held_back: Sequence[Sample] = field(repr=False)
    used: Sequence[Sample] = field(repr=False)
    twin: Graph | None = field(default=None, repr=False)
    threads: int = 1
    seen: Iterable[Sample] = field(default=(), repr=False)


Known = Mapping[str, Statistics]
"""Statistics of values by their names, however the values are marked."""


def gather(
    graph: Graph,
    specified: Graph,
    recipe: Recipe,
    options: Options,
    say: Progress,
    known: Known | None = None,
) -> Evidence:
    """Runs the float graph over the samples; without any, over noise through a matched twin.

    `graph` is the model as read, `specified` the same simplified and marked. `known` is what the
    same samples gave under other marks: only what is not among it is measured.
    """
    if options.calib is None:
        return _from_noise(graph, recipe, options, say)
    samples = open_samples(options.calib, specified)
    return _from_samples(samples, specified, options, say, known or {})


def known_from(specified: Graph, evidence: Evidence) -> Known:
    """What was seen in each value that alone has its name."""
    names = _value_names(specified)
    pairs = zip(names, evidence.statistics, strict=True)
    return {name: found for name, found in pairs if name}


def _from_samples(
    samples: Samples, specified: Graph, options: Options, say: Progress, known: Known
) -> Evidence:
    count = sum(1 for _ in samples)
    kept = min(HELD_BACK, count // 8)
    edges, names = observed(specified), _value_names(specified)
    new = [edge for edge, name in zip(edges, names, strict=True) if name not in known]
    fresh: dict[Observe, Statistics] = {}
    if new or not edges:
        say(f"calibrating on samples: {count - kept}")
        told = Count(say, "calibrating on samples", count - kept).add
        drawn = islice(samples, count - kept)
        stats = collect(specified, new, drawn, threads=options.threads, heard=told)
        fresh = dict(zip(new, stats, strict=True))
    found = [fresh[e] if e in fresh else known[n] for e, n in zip(edges, names, strict=True)]
    held = list(islice(samples, count - kept, None)) if kept else list(islice(samples, 1))
    remark = "" if kept else "too few samples to hold any back: quality is measured on the first"
    few = list(islice(samples, min(count - kept, together(specified))))
    seen = Samples(samples.source, lambda: islice(samples, count - kept))
    return Evidence(
        samples.source, count - kept, remark, found, held, few, None, options.threads, seen
    )


def _from_noise(graph: Graph, recipe: Recipe, options: Options, say: Progress) -> Evidence:
    samples = noise(graph, seed=options.seed)
    matched = has_statistics(graph)
    twin = graph
    if matched:
        say("no calibration data: matching the batchnorms' statistics")
        twin = matched_twin(graph, samples, threads=options.threads)
    marked = specify(simplify(twin), recipe)
    used = samples[:-1]
    count = collect_bursts if matched else collect
    found = count(marked, observed(marked), used, threads=options.threads)
    remark = (
        "no calibration data: ranges come from noise, batchnorms matched to their statistics"
        if matched
        else "no calibration data and no batchnorm: ranges come from guessed standard normal "
        "inputs; give --calib for results to rely on"
    )
    few, twin = (used, marked) if matched else ((), None)
    return Evidence("data-free", 0, remark, found, samples[-1:], few, twin, options.threads)


def _value_names(specified: Graph) -> list[str]:
    """The name of the value behind each observed edge; empty where several nodes have it."""
    times = Counter(node.name for node in specified.nodes)
    names = (bare(edge).name for edge in observed(specified))
    return [name if times[name] == 1 else "" for name in names]


def together(graph: Graph) -> int:
    """How many samples may go through the graph side by side, real and quantized."""
    live = max(peak_bytes(graph), 1)
    return min(TOGETHER, MEMORY // (2 * live))
