"""Which contraction gets how many bits: one rule as data, and its answer for a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.norm import LayerNorm, RmsNorm
from qcompile.ir.ops.shape import Gather, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Input
from qcompile.ir.widths import REAL, W8A8, Widths
from qcompile.passes.patterns import names
from qcompile.passes.roles import activations, weight

Contraction = Conv | ConvTranspose | MatMul
ASKED = "asked for"


class Scaling(Enum):
    """Where matrix products get a scale for each token at run time that nobody asked for."""

    CALIBRATED = "nowhere"
    BY_NORMS = "in networks whose matrix products read norms"


BY_NORMS = Scaling.BY_NORMS


@dataclass(frozen=True)
class WidthRule:
    """`default` for all contractions but these: the first and last ones (`ends`), depthwise
    convolutions, and products of two values, which keep 8 bits.

    Depthwise convolutions do not run on tensor cores, so fewer bits would gain nothing there, and
    their few weights for each channel leave no errors to average out. `overrides` come before
    everything; of several patterns that name a node the last one counts.

    Scales found at run time are for matrix products alone: all of them where `default` has them or
    `scaling` gives them, products of two values, too. Convolutions are scaled by calibration
    whatever is asked. Where `default` leaves activations real, all of them stay so.
    """

    default: Widths = W8A8
    ends: Widths = W8A8
    depthwise: Widths = W8A8
    overrides: Mapping[str, Widths] = field(default_factory=dict[str, Widths])
    scaling: Scaling = Scaling.CALIBRATED

    def on(self, graph: Graph) -> Widths:
        """The default in this graph.

        What comes from a norm over channels is real anyway, and a few channels of it are far out
        in trained transformers: one scale for all tokens costs 10 dB and more there (LLM.int8,
        arXiv 2208.07339, section 3; SmoothQuant, arXiv 2211.10438, figure 2).
        """
        scales = self.scaling is Scaling.BY_NORMS and self.default.activation != REAL
        tokens = scales and _multiplies_norms(graph)
        return replace(self.default, per_token=self.default.per_token or tokens)


@dataclass(frozen=True, slots=True)
class Choice:
    """The widths of one contraction, and why they are not the default ones."""

    widths: Widths
    why: str = ""


def choose_widths(graph: Graph, rule: WidthRule) -> dict[Node, Choice]:
    """The choice for every contraction, in graph order."""
    first, last, default = _first(graph), _last(graph), rule.on(graph)
    found: dict[Node, Choice] = {}
    for node in graph.nodes:
        if not isinstance(node, Conv | ConvTranspose | MatMul):
            continue
        asked = [w for pattern, w in rule.overrides.items() if names(pattern, node)]
        if asked:
            found[node] = _fitting(node, Choice(asked[-1], ASKED), asked[-1])
            continue
        choice = Choice(default)
        if weight(node) is None:
            choice = Choice(W8A8, "a product of two values")
        elif is_depthwise(node):
            choice = Choice(rule.depthwise, "depthwise: not run on tensor cores")
        elif node in first:
            choice = Choice(rule.ends, "it reads an input")
        elif node in last:
            choice = Choice(rule.ends, "no contraction is behind it")
        found[node] = _fitting(node, choice, default)
    return found


def _fitting(node: Contraction, choice: Choice, asked: Widths) -> Choice:
    """The choice with reals, or scales at run time where the operation can have them, as asked."""
    if asked.activation == REAL:
        return replace(choice, widths=replace(choice.widths, activation=REAL))
    per_token = asked.per_token and isinstance(node, MatMul)
    return replace(choice, widths=replace(choice.widths, per_token=per_token))


def _multiplies_norms(graph: Graph) -> bool:
    """Some matrix product reads a norm over channels, maybe behind moves."""
    behind: set[Node] = set()
    for node in graph.nodes:
        if isinstance(node, MatMul) and any(operand in behind for operand in node.operands):
            return True
        moved = isinstance(node, Reshape | Transpose | Slice | Gather)
        if isinstance(node, LayerNorm | RmsNorm) or (moved and node.operands[0] in behind):
            behind.add(node)
    return False


def is_depthwise(node: Node) -> bool:
    """A convolution in which every input channel is a group of its own."""
    match node:
        case Conv(x=x, groups=groups) | ConvTranspose(x=x, groups=groups):
            return groups > 1 and groups == x.type.shape[1]
        case _:
            return False


def _first(graph: Graph) -> frozenset[Node]:
    """Contractions that read an input through nothing but operations of one value."""
    near: set[Node] = set(graph.inputs)
    found: set[Node] = set()
    for node in graph.nodes:
        read = [] if isinstance(node, Input) else list(activations(node))
        if not any(o in near for o in read):
            continue
        if isinstance(node, Conv | ConvTranspose | MatMul):
            found.add(node)
        elif len(read) == 1:
            near.add(node)
    return frozenset(found)


def _last(graph: Graph) -> frozenset[Node]:
    """Contractions from which no other is reached."""
    before: set[Node] = set()
    found: set[Node] = set()
    for node in reversed(graph.nodes):
        behind = any(u in before for u in graph.users[node])
        if isinstance(node, Conv | ConvTranspose | MatMul):
            if not behind:
                found.add(node)
            before.add(node)
        elif behind:
            before.add(node)
    return frozenset(found)
