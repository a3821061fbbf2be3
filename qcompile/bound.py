"""A model whose every dimension is a number: as asked, or else as its samples are."""

from __future__ import annotations

from qcompile.calibrate.lengths import lengths_in
from qcompile.ir.graph import Graph
from qcompile.options import Options
from qcompile.progress import Progress
from qcompile.read import load
from qcompile.stages import require_static


def load_bound(model: object, options: Options, say: Progress) -> Graph:
    """The float graph; `UsageError` when neither `options.shapes` nor samples bind a dimension."""
    graph = load(model, shapes=options.shapes)
    found = {} if options.calib is None else lengths_in(options.calib, graph)
    if found:
        words = ", ".join(f"{name} {'x'.join(map(str, own))}" for name, own in found.items())
        say(f"open dimensions are as the samples have them: {words}")
        graph = load(model, shapes={**found, **options.shapes})
    require_static(graph)
    return graph
