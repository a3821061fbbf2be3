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
    """Bytes of the packed weight; of one that several contractions share, and that they are tied to
    hold in the same bits, for the first of them only. `constants` are those of the program with
    8-bit weights."""
    again = _stored_again(offered, sites)
    of = {
        (name, widths): {
            "size": 0.0
            if name in again
            else float(packed_size(sites[name].weight.data.size, widths.weight))
        }
        for name, widths in offered
    }
    distinct = {(site.weight.data.digest, site.axis): site for site in sites.values()}
    weights = sum(site.weight.data.size for site in distinct.values())
    return Costs(of, {"size": float(constants - weights)})


def _stored_again(offered: Offered, sites: Mapping[str, Site]) -> frozenset[str]:
    """Contractions whose weight an earlier one stores in the same bits, whatever is chosen."""
    bits: dict[str, set[int]] = {}
    for name, widths in offered:
        bits.setdefault(name, set()).add(widths.weight)
    groups: dict[tuple[str, int | None], list[str]] = {}
    for name in bits:
        groups.setdefault((sites[name].weight.data.digest, sites[name].axis), []).append(name)
    tied = (names for names in groups.values() if set[int].intersection(*(bits[n] for n in names)))
    return frozenset(name for names in tied for name in names[1:])


def bops_costs(offered: Offered, nodes: Mapping[str, Node]) -> Costs:
    """Multiply-accumulates times bits of the weight times bits of the other operand."""
    return Costs(
        {
            (name, widths): {"bops": float(macs(nodes[name]) * widths.weight * widths.activation)}
            for name, widths in offered
        }
    )
