"""The recipe's passes on reals, each that rewrites weights checked and taken back when it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from qcompile.calibrate.datafree import noise
from qcompile.calibrate.samples import open_samples
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.options import Options
from qcompile.passes.base import Pass
from qcompile.passes.invariants import FUSED, STATIC
from qcompile.passes.pipeline import Observer, Pipeline, Step
from qcompile.passes.recipe import Recipe
from qcompile.passes.rotate import Rotate
from qcompile.passes.transforms.candidates import BLIND
from qcompile.passes.transforms.equality import Runs
from qcompile.passes.transforms.notes import Note
from qcompile.progress import Counting, Progress, Unannounced
from qcompile.recipe_passes import passes_of
from qcompile.stages import SIMPLIFY, simplify

SAMPLES = 16  # that show what activations are
COMPARED = 2  # of them: both sides of a pass run on these
LIMIT = 1e-3  # of an output's norm: more is no rounding
Sample = Sequence[Array]


@dataclass(frozen=True)
class Transformed:
    """`real` computes what the model does, up to `bound` of an output's norm; `notes` tell what was
    chosen at each site, and what was taken back."""

    real: Graph
    notes: tuple[Note, ...] = ()
    bound: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON: the bound, and what each pass says of each site, with six digits."""
        return {"bound": _short(self.bound), "sites": [_told(note) for note in self.notes]}


def transformed(
    graph: Graph,
    recipe: Recipe,
    options: Options,
    watch: Sequence[Observer],
    say: Progress,
) -> Transformed:
    """The model simplified, and rewritten as the recipe file says.

    `UsageError` for passes in an order that cannot be, and for a recipe that looks at activations
    when there are no samples to show them. Without samples both sides of a pass run on noise.
    """
    file = options.recipe_file
    if file is None:
        return Transformed(simplify(graph, watch))
    samples = _samples(graph, options)
    notes: list[Note] = []
    context: dict[str, object] = {
        "samples": samples,
        "recipe": recipe,
        "threads": options.threads,
        "each": Counting(say),
    }
    passes = passes_of(file, context | {"tell": notes.append})
    pipeline = Pipeline(passes, frozenset({STATIC}))
    if FUSED not in pipeline.gives:
        raise UsageError("--recipe leaves batchnorms where they are: it needs the pass simplify")
    _require_samples(passes, samples)
    runs = Runs(samples[:COMPARED] or noise(graph, seed=0, count=COMPARED), Unannounced(say))
    check = Checked(runs, notes.append, say)
    real = pipeline.run(graph, watch, accept=check.accept)
    bound = runs.difference(graph, real)
    say(f"recipe: outputs differ by {bound:.1e} of their norm from the model's")
    return Transformed(real, tuple(notes), bound)


def _samples(graph: Graph, options: Options) -> tuple[Sample, ...]:
    if options.calib is None:
        return ()
    return tuple(islice(open_samples(options.calib, graph), SAMPLES))


def _require_samples(passes: Sequence[Pass], samples: Sequence[Sample]) -> None:
    """`UsageError` names the passes that choose by what activations are, where nothing shows it."""
    looking = [one.name for one in passes if hasattr(one, "samples") and not _is_blind(one)]
    if looking and not samples:
        names = ", ".join(dict.fromkeys(looking))
        raise UsageError(
            f"--recipe chooses by what activations are ({names}): give samples with --calib"
        )


def _is_blind(one: Pass) -> bool:
    return isinstance(one, Rotate) and one.policy in BLIND


def _told(note: Note) -> dict[str, Any]:
    return note.as_dict() | {"before": _short(note.before), "after": _short(note.after)}


def _short(value: float) -> float:
    return float(f"{value:.6g}")


@dataclass(frozen=True)
class Checked:
    """Takes back what moves an output by more than rounding does."""

    runs: Runs
    tell: Callable[[Note], None]
    say: Progress

    def accept(self, step: Step) -> bool:
        """True for what changes nothing, for the usual passes, and for what keeps the outputs."""
        if not step.changed or step.by in SIMPLIFY.passes:
            return True
        moved = self.runs.difference(step.before, step.after)
        name = step.by.name
        self.say(f"{name}: outputs move by {moved:.1e} of their norm")
        if moved <= LIMIT:
            return True
        reason = f"taken back: outputs moved by {moved:.1e} of their norm"
        self.tell(Note(name, "", "", "none", reason=reason))
        return False
