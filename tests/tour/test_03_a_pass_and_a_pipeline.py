"""Tour, 3 of 7: a pass says what it needs, gives and keeps; a pipeline holds it to that.

The order of passes is the list you write. An order that cannot work does not construct, and an
observer watches each step.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from qcompile.errors import InvariantViolated
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.pointwise import LeakyRelu, Relu
from qcompile.ir.rewrite import Site, rewrite
from qcompile.passes import Canonicalize, Compare, FoldBatchNorm, Meaning, Pass, Pipeline, Verify
from tests.helpers import check_rewrite, read


# A pass is a frozen dataclass. Its fields are its options, its class variables its contract:
# `keeps` promises the same bits (EXACTLY), float rounding (CLOSELY), or nothing (NOT).
@dataclass(frozen=True)
class DropFaintSlopes(Pass):
    """leaky_relu with a slope below `limit` → relu."""

    name: ClassVar[str] = "drop-faint-slopes"
    keeps: ClassVar[Meaning] = Meaning.NOT

    limit: float = 0.01

    def run(self, graph: Graph) -> Graph:
        def drop(node: Node, site: Site) -> Node | None:
            match node:
                case LeakyRelu(x=x, alpha=alpha) if abs(alpha) < self.limit:
                    return Relu(x, name=node.name)
                case _:
                    return None

        return rewrite(graph, drop)


BEFORE = "def f(x: f32[3]):\n    y = leaky_relu(x, alpha=0.001)\n    return y"
AFTER = "def f(x: f32[3]):\n    y: f32[3] = relu(x)\n    return y"


def test_the_pass_does_its_work():
    check_rewrite(BEFORE, DropFaintSlopes(), AFTER, within=0.01)
    assert str(DropFaintSlopes(limit=0.1)) == "drop-faint-slopes{limit=0.1}"


# Folding batchnorms requires canonical spellings; without the pass that gives them it is an error
# to build the pipeline, long before a model is read.
def test_a_wrong_order_does_not_construct():
    with pytest.raises(InvariantViolated, match="fold-batchnorm requires canonical"):
        Pipeline((FoldBatchNorm(), Canonicalize()))


# Verify checks what passes give, Compare runs both sides of each pass on a probe.
def test_a_pipeline_runs_under_observation():
    line = Pipeline((Canonicalize(), DropFaintSlopes()))
    after = line.run(read(BEFORE), (Verify(), Compare((np.ones(3, np.float32),))))
    assert [node.op for node in after.nodes] == ["input", "relu"]
