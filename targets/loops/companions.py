"""Copies of a value that are written along with it: a narrower one for those who read few bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.targets.loops.fuse import Group

CONTRACTIONS = (Conv, ConvTranspose, MatMul)


def companions(every: Sequence[Group], graph: Graph) -> Mapping[Node, Group]:
    """Head of a contraction's group → the group that can be written with it, one at most.

    That is a pointwise chain of integers that reads nothing else from memory, place by place.
    """
    homes = {group.head: group for group in every}
    found: dict[Node, Group] = {}
    for group in every:
        if group.root is not None or len(group.reads) != 1 or group.head in graph.results:
            continue
        (source,) = group.reads
        home = homes.get(source)
        if home is None or not isinstance(home.root, CONTRACTIONS) or source in found:
            continue
        alike = all(member.type.shape == source.type.shape for member in group.members)
        if alike and all(member.type.is_quantized for member in group.members):
            found[source] = group
    return found
