"""size and bops: what the weights take, and multiply-accumulates by the bits of both operands."""

from __future__ import annotations

from collections.abc import Mapping

from qcompile.costs.costs import Costs
from qcompile.costs.uniform import Offered
from qcompile.coverage import macs
from qcompile.ir.node import Node
from qcompile.numerics.packing import packed_size
from qcompile.sensitivity.sites import Site


def size_costs(offered: Offered, sites: Mapping[str, Site], *, constants: int) -> Costs:
    """Bytes of the packed weight. `constants` are those of the program with 8-bit weights."""
    weights = sum(site.weight.data.size for site in sites.values())
    of = {
        (name, widths): {"size": float(packed_size(sites[name].weight.data.size, widths.weight))}
        for name, widths in offered
    }
    return Costs(of, {"size": float(constants - weights)})


def bops_costs(offered: Offered, nodes: Mapping[str, Node]) -> Costs:
    """Multiply-accumulates times bits of the weight times bits of the other operand."""
    return Costs(
        {
            (name, widths): {"bops": float(macs(nodes[name]) * widths.weight * widths.activation)}
            for name, widths in offered
        }
    )
