"""The pipelines between the steps of a compilation."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from qcompile.errors import UsageError
from qcompile.ir.dims import is_static, show
from qcompile.ir.graph import Graph
from qcompile.passes.canonicalize import Canonicalize
from qcompile.passes.fold_batchnorm import FoldBatchNorm
from qcompile.passes.fold_constants import FoldConstants
from qcompile.passes.fuse_activations import FuseActivations
from qcompile.passes.fuse_norms import FuseNorms
from qcompile.passes.fuse_padding import FusePadding
from qcompile.passes.invariants import FUSED, STATIC
from qcompile.passes.pipeline import Observer, Pipeline
from qcompile.passes.recipe import Recipe
from qcompile.passes.specify import Specify

LARGEST = 1 << 44  # elements of one value
SIMPLIFY = Pipeline(
    (
        FoldConstants(),
        Canonicalize(),
        FuseNorms(),
        FuseActivations(),
        FusePadding(),
        FoldBatchNorm(),
        FoldConstants(),
        Canonicalize(),
    ),
    given=frozenset({STATIC}),
)


def simplify(graph: Graph, observers: Sequence[Observer] = ()) -> Graph:
    """The same function in the spellings that quantization looks for."""
    return SIMPLIFY.run(graph, observers)


def specify(graph: Graph, recipe: Recipe, observers: Sequence[Observer] = ()) -> Graph:
    """Every edge marked that the target quantizes."""
    return Pipeline((Specify(recipe),), given=frozenset({FUSED, STATIC})).run(graph, observers)


def require_static(graph: Graph) -> None:
    """`UsageError` that names the open dimensions and how to bind them."""
    for node in graph.inputs:
        if not is_static(node.type.shape):
            guess = "x".join(str(d) if isinstance(d, int) else "1" for d in node.type.shape)
            raise UsageError(
                f"input {node.name!r} has open dimensions [{show(node.type.shape)}]: bind them, "
                f"for example with --input-shape {node.name}={guess}"
            )
    for node in graph.nodes:
        if not is_static(node.type.shape):
            shape = show(node.type.shape)
            raise UsageError(f"{node.name or node.op} has a shape that depends on data: [{shape}]")
        if prod(d for d in node.type.shape if isinstance(d, int)) > LARGEST:
            shape = show(node.type.shape)
            raise UsageError(f"{node.name or node.op} has more elements than memory: [{shape}]")
