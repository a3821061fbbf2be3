"""Sites: families of maps that leave what a graph computes as it is."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from qcompile.analysis.axes.blocker import Blocker
from qcompile.analysis.axes.laws.law import Group
from qcompile.analysis.axes.members import Member
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const


@dataclass(frozen=True)
class Site:
    """One index set that a map may act on, and every value that changes with it.

    `name` and `role` are for people. `size` is the length of the set; `blocks` the lengths of the
    index sets along which each index may have a map of its own (none: one map for all).
    """

    name: str
    role: str
    size: int
    blocks: tuple[int, ...]
    members: tuple[Member, ...]

    def __str__(self) -> str:
        kind = type(self).__name__.removesuffix("Site").lower()
        return f"{kind} {self.name}"

    @property
    def count(self) -> int:
        """How many maps there are."""
        return prod(self.blocks)

    @property
    def edges(self) -> tuple[Member, ...]:
        """The members that are computed: whose statistics a policy may read."""
        return tuple(m for m in self.members if m.constant is None)

    @property
    def absorbs(self) -> tuple[Member, ...]:
        """The members that are constants: what is rewritten."""
        return tuple(m for m in self.members if m.constant is not None)

    @property
    def constants(self) -> tuple[Const, ...]:
        """The constants that change, each once."""
        return tuple(dict.fromkeys(m.constant for m in self.members if m.constant is not None))


@dataclass(frozen=True)
class RotationSite(Site):
    """Where T of `group` may act offline: x T on members of exponent 1, x T^-T where it is −1.

    `blockers` tell what bounds the group. `within` is what would be left without those that let no
    matrix pass.
    """

    group: Group
    blockers: tuple[Blocker, ...] = ()
    within: Group = Group.GENERAL


@dataclass(frozen=True)
class ScalingSite(Site):
    """Where s > 0 may act offline: v · s^exponent on each member.

    `lead` is the edge to smooth: it is divided by s, and what reads it takes s.
    """

    lead: Member


@dataclass(frozen=True)
class ShiftSite(Site):
    """Where z may be taken off offline: v − exponent · z on each member.

    `lead` is an edge that contractions with constants read; their biases, and those of what makes
    the members, take up the rest.
    """

    lead: Member


@dataclass(frozen=True)
class FixedEdge:
    """An edge that contractions read and no shift reaches, for these reasons."""

    name: str
    value: Node
    axis: int
    blockers: tuple[Blocker, ...]


@dataclass(frozen=True)
class PermutationSite(Site):
    """Where the indices may be put in another order offline, the same on all members."""


@dataclass(frozen=True)
class Side:
    """A value, and the axis of it that T acts on."""

    value: Node
    axis: int


@dataclass(frozen=True)
class OnlineSite:
    """Where T may act at the price of an operation on `edge`.

    Without a `partner` all of `readers` contract the edge with constants, which take T^-1. With one
    both are contracted with one another: it pays for an operation too and becomes y T^-T; the first
    of `readers` reads the edge, the second the partner. `blockers` tell
    why T cannot be had for nothing.
    """

    name: str
    role: str
    size: int
    edge: Side
    readers: tuple[Node, ...]
    partner: Side | None
    blockers: tuple[Blocker, ...]

    def __str__(self) -> str:
        return f"online {self.name}"

    @property
    def adds(self) -> int:
        """Additions for each vector of a fast Hadamard transform, n·(k + K) for n = K·2^k."""
        odd, twos = self.size, 0
        while odd % 2 == 0:
            odd, twos = odd // 2, twos + 1
        if odd == 1:
            return self.size * twos
        return self.size * (twos - 2 + 4 * odd) if twos >= 2 else self.size * (self.size - 1)
