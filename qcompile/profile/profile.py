"""`qcompile profile`: builds a target's kernels, times them here, and keeps what they took."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from qcompile.costs.uniform import integers, nearest
from qcompile.errors import UsageError
from qcompile.evidence import gather
from qcompile.ir.graph import Graph
from qcompile.ir.widths import Widths
from qcompile.options import Options
from qcompile.passes.choose_widths import choose_widths
from qcompile.passes.recipe import Recipe
from qcompile.profile.clock import clock
from qcompile.profile.device import device_of, missing
from qcompile.profile.measure import Timed, measure, rows_of
from qcompile.profile.shapes import least, spread
from qcompile.profile.table import LatencyTable, write_table
from qcompile.progress import Progress, silent
from qcompile.read import load
from qcompile.stages import require_static, simplify, specify
from qcompile.targets import target
from qcompile.targets.base import Target
from qcompile.targets.opened import LibraryRuntime

NOTHING = Graph("nothing", (), ())


@dataclass(frozen=True)
class Request:
    """What to measure: a model, or without one a spread of layers; where, and how often."""

    target: str
    model: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    calib: str | None = None
    output: Path | None = None
    threads: int = 1
    rounds: int = 7


def profile(request: Request, say: Progress = silent) -> dict[str, Any]:
    """Measures and writes the table; what was written, where, in plain JSON.

    `UsageError` where the target does not run on this machine, `TargetError` where its kernels
    are not its own.
    """
    place = target(request.target)
    device = device_of(place)
    place.outline(NOTHING)  # says why not, where kernels are not the target's own
    if not device:
        raise UsageError(
            f"profile --target {request.target}: {missing(place)}; a table holds for the device "
            "that it was measured on, so run this there"
        )
    graphs = list(_graphs(request, place, say))
    table = measured(place, graphs, request, device, say)
    output = request.output or Path(f"{request.target}-{request.threads}.json")
    write_table(output, table)
    return {
        "table": str(output),
        "target": table.target,
        "device": table.device,
        "threads": table.threads,
        "clock": table.clock,
        "rounds": table.rounds,
        "kernels": len(table.rows),
        "median_spread": median(row.spread for row in table.rows),
        "call_ms": table.call,
    }


def measured(
    place: Target, graphs: Sequence[Graph], request: Request, device: str, say: Progress
) -> LatencyTable:
    """The table of the kernels of deployed graphs; one without a new shape is not built.

    What a call costs beside its steps is that of the fastest program, where it shows best.
    """
    known: set[str] = set()
    found: list[Timed] = []
    emulated = False
    for graph in graphs:
        steps = place.outline(graph).steps
        shapes = {step.kernel.shape for step in steps if step.taken}
        if shapes <= known:
            continue
        known |= shapes
        say(f"building and timing {graph.name}: {len(shapes)} kernels")
        with tempfile.TemporaryDirectory(prefix="qcompile-profile-") as folder:
            runtime = _opened(place, graph, Path(folder), request.threads)
            emulated = emulated or runtime.emulated
            found.append(measure(runtime, graph, steps, rounds=request.rounds))
    return LatencyTable(
        target=place.name, device=device, threads=request.threads,
        date=datetime.now(UTC).strftime("%Y-%m-%d"), clock=clock(), qcompile=version("qcompile"),
        rounds=request.rounds, call=min(found, key=lambda it: median(it.whole)).call,
        emulated=emulated, rows=rows_of(found),
    )  # fmt: skip


def _opened(place: Target, graph: Graph, folder: Path, threads: int) -> LibraryRuntime:
    emitted = place.emit(graph, folder, threads=threads)
    runtime = place.open(folder, emitted.details, threads=threads)
    if not isinstance(runtime, LibraryRuntime):
        raise UsageError(f"{place.name} runs on {runtime.device} here, which times no single steps")
    return runtime


def _graphs(request: Request, place: Target, say: Progress) -> Iterator[Graph]:
    """The deployed graphs of a model, or of a spread of layers and next to nothing."""
    named = request.model
    models = (spread(), least()) if named is None else (load(named, shapes=request.shapes),)
    for model in models:
        require_static(model)
        yield from deployed_at_options(model, place, request, say)


def deployed_at_options(
    model: Graph, place: Target, request: Request, say: Progress
) -> Iterator[Graph]:
    """The model under the target's own rule, and with each of its options wherever it may be."""
    options = Options(target=place.name, calib=request.calib, threads=request.threads)
    recipe = place.recipe
    real = simplify(model)
    eight = Recipe(activation=recipe.activation, wide_sums=recipe.wide_sums)
    specified = specify(real, eight)
    evidence = gather(model, specified, eight, options, say)
    seen = (specified, evidence.statistics)
    choices = choose_widths(real, recipe.widths)
    for option in (None, *recipe.options):
        widths = {
            n.name: _allowed(option, c.widths, why=c.why, recipe=recipe)
            for n, c in choices.items()
            if n.name
        }
        yield integers(place, real, seen, recipe, widths)


def _allowed(option: Widths | None, own: Widths, *, why: str, recipe: Recipe) -> Widths:
    if option is None:
        return own
    if not why:
        return option
    kept = [o for o in recipe.options if o.activation == own.activation] or [own]
    return nearest(option, kept)
