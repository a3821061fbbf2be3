"""What costs are asked of: a model as calibrated, a target, the options of each contraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from qcompile.calibrate.statistics import Statistics
from qcompile.costs.uniform import Uniform, integers, uniform_programs
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.widths import Widths
from qcompile.passes.choose_widths import choose_widths
from qcompile.passes.recipe import Recipe
from qcompile.sensitivity.sites import Site
from qcompile.targets.base import Target
from qcompile.targets.steps import Outline


@dataclass(frozen=True)
class Subject:
    """`real` is the simplified model, `specified` the same marked for 8 bits, `statistics` those of
    its marks, `constants` the bytes of its integer program's constants."""

    place: Target
    real: Graph
    specified: Graph
    statistics: Sequence[Statistics] = field(repr=False)
    recipe: Recipe
    sites: Sequence[Site]
    allowed: Mapping[str, Sequence[Widths]]
    constants: int

    @property
    def offered(self) -> list[tuple[str, Widths]]:
        """Every contraction with every width that it may have."""
        return [(name, widths) for name, options in self.allowed.items() for widths in options]

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """Contractions by name."""
        return {node.name: node for node in choose_widths(self.real, self.recipe.widths)}

    @cached_property
    def programs(self) -> list[Uniform]:
        """The target's program at each option, lowered but not built."""
        seen = (self.specified, self.statistics)
        return uniform_programs(self.place, self.real, seen, self.recipe, self.offered)

    def outline(self, widths: Mapping[str, Widths]) -> Outline:
        """The target's program for one choice of widths."""
        seen = (self.specified, self.statistics)
        return self.place.outline(integers(self.place, self.real, seen, self.recipe, widths))
