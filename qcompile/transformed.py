"""The recipe's passes on reals, each that rewrites weights checked and taken back when it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from qcompile.calibrate.samples import open_samples
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.options import Options
from qcompile.passes.invariants import FUSED, STATIC
from qcompile.passes.pipeline import Observer, Pipeline, Step
from qcompile.passes.recipe import Recipe
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


def transformed(
    graph: Graph,
    recipe: Recipe,
    options: Options,
    watch: Sequence[Observer],
    say: Progress,
) -> Transformed:
    """The model simplified, and rewritten as the recipe file says.

    `UsageError` for passes in an order that cannot be, and for a recipe that looks at activations
    when there are no samples to show them.
    """
    file = options.recipe_file
    if file is None:
        return Transformed(simplify(graph, watch))
    if options.calib is None:
        raise UsageError("--recipe chooses by what activations are: give samples with --calib")
    samples = tuple(islice(open_samples(options.calib, graph), SAMPLES))
    notes: list[Note] = []
    context: dict[str, object] = {
        "samples": samples,
        "recipe": recipe,
        "threads": options.threads,
        "each": Counting(say),
    }
    pipeline = Pipeline(passes_of(file, context | {"tell": notes.append}), frozenset({STATIC}))
    if FUSED not in pipeline.gives:
        raise UsageError("--recipe leaves batchnorms where they are: it needs the pass simplify")
    runs = Runs(samples[:COMPARED], Unannounced(say))
    check = Checked(runs, notes.append, say)
    real = pipeline.run(graph, watch, accept=check.accept)
    bound = runs.difference(graph, real)
    say(f"recipe: outputs differ by {bound:.1e} of their norm from the model's")
    return Transformed(real, tuple(notes), bound)


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
