"""What every choice about a compilation starts from."""

from __future__ import annotations

from dataclasses import dataclass, field

from qcompile.ir.graph import Graph
from qcompile.options import Options
from qcompile.passes.recipe import Recipe
from qcompile.progress import Progress, silent


@dataclass(frozen=True)
class Job:
    """`graph` is the model as read, `real` the same simplified; `recipe` holds for whatever no
    plan decides."""

    graph: Graph
    real: Graph
    recipe: Recipe
    options: Options
    say: Progress = field(default=silent, repr=False)
