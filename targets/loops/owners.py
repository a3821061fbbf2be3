"""Which contractions decide how wide the buffers of a lowered graph are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.shape import Concat
from qcompile.program.plan import aligned, lifetimes
from qcompile.program.program import Buffer
from qcompile.targets.loops.draft import Step_
from qcompile.targets.loops.fuse import groups
from qcompile.targets.loops.lowering import Lowering
from qcompile.targets.loops.memory import calls
from qcompile.targets.steps import Owners

Contraction = Conv | ConvTranspose | MatMul


@dataclass(frozen=True)
class Ownership:
    """Of each step: the contraction that it carries or serves, and bytes alive by their owners.

    A buffer belongs to the contractions that read it as their input: directly, through steps that
    read nothing else, or as a narrow copy that is written along with it. Those ask for its width.
    What no contraction reads belongs to the one that writes it, as do parts of a sum. The rest is
    nobody's.
    """

    contractions: tuple[str, ...]
    alive: tuple[Mapping[Owners, int], ...]


def ownership(ctx: Lowering, steps: Sequence[Step_]) -> Ownership:
    """Of the steps that a lowering has made of its graph."""
    told = calls(steps)
    readers = _Readers(ctx, steps)
    serves = [readers.note(i) for i in reversed(range(len(steps)))]
    alive = [dict[Owners, int]() for _ in steps]
    for buffer, life in lifetimes(told).items():
        key = tuple(sorted(readers.owners.get(buffer, ())))
        for i in range(life.first, life.last + 1):
            alive[i][key] = alive[i].get(key, 0) + aligned(buffer.size)
    return Ownership(tuple(reversed(serves)), tuple(alive))


class _Readers:
    """Told the steps from the last to the first, so that who reads a copy is known before."""

    def __init__(self, ctx: Lowering, steps: Sequence[Step_]) -> None:
        self.owners: dict[Buffer, frozenset[str]] = {}
        self._roots = _roots(ctx.graph)
        self._nodes = _homes(ctx)
        self._copies = {value.where for value in ctx.copies.values()}
        self._calls = calls(steps)
        self._steps = steps

    def note(self, i: int) -> str:
        """The contraction that the step carries, else the first that reads what it computes."""
        call, root = self._calls[i], self._root(i)
        known = [self.owners.get(buffer, frozenset()) for buffer in call.writes]
        behind = frozenset[str]().union(*known)
        self._add(call.writes if behind else (), behind)
        if root is not None:
            own = [b for b in call.reads if self._nodes.get(b) in (None, *root.operands)]
            mine = [buffer for buffer in call.writes if buffer not in self.owners]
            self._add([*own, *mine], frozenset({root.name}))
            return root.name
        moves = isinstance(self._steps[i].node, Concat) or len(set(call.reads)) == 1
        self._add(call.reads if moves else (), behind)
        return min(behind, default="")

    def _add(self, buffers: Sequence[Buffer], names: frozenset[str]) -> None:
        for buffer in buffers:
            self.owners[buffer] = self.owners.get(buffer, frozenset()) | names

    def _root(self, i: int) -> Contraction | None:
        """The contraction that a step computes; copies for one are not it."""
        if any(buffer in self._copies for buffer in self._calls[i].writes):
            return None
        return self._roots.get(self._steps[i].node)


def _roots(graph: Graph) -> dict[Node, Contraction]:
    """Head of a group → the contraction in it."""
    found = [(group.head, group.root) for group in groups(graph)]
    return {head: root for head, root in found if isinstance(root, Contraction) and root.name}


def _homes(ctx: Lowering) -> dict[Buffer, Node]:
    """Buffer → the node whose value it holds."""
    values = {v.where: n for n, v in ctx.values.items() if isinstance(v.where, Buffer)}
    copies = {v.where: n for (n, *_), v in ctx.copies.items() if isinstance(v.where, Buffer)}
    return values | copies
