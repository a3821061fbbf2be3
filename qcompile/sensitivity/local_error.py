"""How far a contraction's own value moves, as a share of its power: per option."""

from __future__ import annotations

from collections.abc import Sequence

from qcompile.ir.node import Node
from qcompile.sensitivity.quantized import Quantized, mean_shifts
from qcompile.sensitivity.walk import Walk, power


def local_errors(node: Node, change: Quantized, walk: Walk) -> list[float]:
    """E‖y' − y‖² / E‖y‖² of the contraction's value y, mean errors taken out."""
    shifted = change.shifted(mean_shifts(change, walk))

    def errors(i: int) -> Sequence[float]:
        real = walk.network.apply(node, walk.batches[i])
        changed = shifted(i, walk.batches[i])
        return [power(real), *(power(value - real) for value in changed)]

    signal, *noise = (sum(column) for column in zip(*walk.each(errors), strict=True))
    return [e / signal if signal else e for e in noise]
