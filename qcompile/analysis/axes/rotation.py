"""Rotation classes: leaves that one matrix acts on, by union-find with parity."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from qcompile.analysis.axes.blocker import Blocker
from qcompile.analysis.axes.laws.law import Group, Law
from qcompile.analysis.axes.layout import Layout

PER_REASON = 3


@dataclass
class RotationClass:
    """Leaves with their parity, the group that may act, and what bounds it.

    `within` is the group that laws which let matrices pass would leave.
    """

    signs: dict[int, int]
    group: Group = Group.GENERAL
    within: Group = Group.GENERAL
    blockers: list[Blocker] = field(default_factory=list[Blocker])
    columns: list[int] = field(default_factory=list[int])

    def bound(self, group: Group, law: Law) -> None:
        """Meets with a group, keeping the reason."""
        if group is not Group.NONE:
            self.within = self.within.meet(group)
        if group is not Group.GENERAL:
            self.meet(group, [Blocker(law.node, law.why)])

    def meet(self, group: Group, blockers: list[Blocker]) -> None:
        """Meets with a group that these reasons hold for; those of the smallest group stay."""
        both = self.group.meet(group)
        kept = self.blockers if both is self.group else []
        new = blockers if both is group or both not in (group, self.group) else []
        self.group = both
        self.blockers = _few([*kept, *new])


def _few(blockers: list[Blocker]) -> list[Blocker]:
    """Each once, and no more than `PER_REASON` places for one reason."""
    seen: Counter[str] = Counter()
    result: list[Blocker] = []
    for blocker in dict.fromkeys(blockers):
        seen[blocker.why] += 1
        if seen[blocker.why] <= PER_REASON:
            result.append(blocker)
    return result


def rotation_classes(layout: Layout) -> list[RotationClass]:
    """All classes, by their first leaf."""
    classes = _Classes(len(layout.leaves))
    for number, column in enumerate(layout.columns):
        if column.broken:
            for leaf in column.leaves:
                classes.bound(leaf, Group.NONE, column.law)
        elif column.law.group is not None:
            _apply(classes, number, column.leaves, column.law)
    found = {classes.find(leaf)[0]: None for leaf in range(len(layout.leaves))}
    return [classes.held[root] for root in found]


def _apply(classes: _Classes, number: int, leaves: tuple[int, ...], law: Law) -> None:
    assert law.group is not None
    if law.group is Group.NONE:
        for leaf in leaves:
            classes.bound(leaf, Group.NONE, law)
        return
    for leaf, sign in zip(leaves[1:], law.signs[1:], strict=True):
        classes.join(leaves[0], leaf, law.signs[0] * sign, law)
    classes.bound(leaves[0], law.group, law)
    classes.held[classes.find(leaves[0])[0]].columns.append(number)


class _Classes:
    """Union-find: each leaf knows its parity towards its parent."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))
        self.sign = [1] * count
        self.held = [RotationClass({i: 1}) for i in range(count)]

    def find(self, leaf: int) -> tuple[int, int]:
        """(root, parity towards it); shortens the path."""
        path: list[int] = []
        while self.parent[leaf] != leaf:
            path.append(leaf)
            leaf = self.parent[leaf]
        sign = 1
        for step in reversed(path):
            sign *= self.sign[step]
            self.parent[step], self.sign[step] = leaf, sign
        return leaf, sign

    def bound(self, leaf: int, group: Group, law: Law) -> None:
        """Meets the leaf's class with a group."""
        self.held[self.find(leaf)[0]].bound(group, law)

    def join(self, a: int, b: int, sign: int, law: Law) -> None:
        """One class; a parity that contradicts leaves T = T^-T, the orthogonal ones."""
        (left, left_sign), (right, right_sign) = self.find(a), self.find(b)
        if left == right:
            if left_sign * right_sign != sign:
                self.held[left].bound(Group.ORTHOGONAL, law)
            return
        if len(self.held[left].signs) < len(self.held[right].signs):
            left, right = right, left
        turn = left_sign * right_sign * sign
        self.parent[right], self.sign[right] = left, turn
        kept, gone = self.held[left], self.held[right]
        kept.signs |= {leaf: own * turn for leaf, own in gone.signs.items()}
        kept.columns += gone.columns
        kept.within = kept.within.meet(gone.within)
        kept.meet(gone.group, gone.blockers)
