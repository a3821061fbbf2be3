"""Damages from weights alone, weighed with the power of what they meet: no run of what is behind.

The relative error of a contraction's own value, errors of weights and input taken as noise:
Σ_o Σ_i E[x_i²]·e²_oi / Σ_o E[y_o²], and the same with step²/12 for x's noise. What the network
makes of it is not known here: every contraction counts alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.widths import Widths
from qcompile.passes.roles import weight
from qcompile.sensitivity.network import versions
from qcompile.sensitivity.sites import Site
from qcompile.sensitivity.study import Study
from qcompile.sensitivity.torch_ops import Tensor
from qcompile.sensitivity.walk import Walk, stops

Values = NDArray[Any]

# E(Q(z) − z)² of a standard normal z on the best uniform grid that has zero, by bits
GAUSSIAN = {2: 0.149431, 3: 0.040638, 4: 0.011864, 5: 0.003526, 6: 0.001043, 7: 3.04e-4, 8: 8.8e-5}


@dataclass(frozen=True)
class WeightError:
    """(Q(W) − W)², as the weights really round."""

    name: ClassVar[str] = "weight-error"

    @property
    def facts(self) -> Mapping[str, str]:
        """torch's version and what it makes of this processor."""
        return versions()

    def measure(
        self, study: Study, wanted: Mapping[str, Sequence[Widths]]
    ) -> Iterator[tuple[str, Widths, float]]:
        """One contraction after the other, in graph order."""
        return _measured(study, wanted, _rounding)


@dataclass(frozen=True)
class RateDistortion:
    """D(bits)·σ²: what normal weights lose at least, σ² of each output channel."""

    name: ClassVar[str] = "rate-distortion"

    @property
    def facts(self) -> Mapping[str, str]:
        """torch's version and what it makes of this processor."""
        return versions()

    def measure(
        self, study: Study, wanted: Mapping[str, Sequence[Widths]]
    ) -> Iterator[tuple[str, Widths, float]]:
        """One contraction after the other, in graph order."""
        return _measured(study, wanted, _distortion)


def _rounding(site: Site, bits: int) -> Values:
    return np.square(site.weights(bits).astype(np.float64) - site.weight.array)


def _distortion(site: Site, bits: int) -> Values:
    real = site.weight.array.astype(np.float64)
    axes = None if site.axis is None else tuple(a for a in range(real.ndim) if a != site.axis)
    return np.broadcast_to(GAUSSIAN[bits] * real.var(axes, keepdims=True), real.shape)


def _measured(
    study: Study,
    wanted: Mapping[str, Sequence[Widths]],
    squares: Callable[[Site, int], Values],
) -> Iterator[tuple[str, Widths, float]]:
    for stop in stops(study, wanted):
        met = _powers(stop.node, stop.walk)
        for widths in stop.options:
            noise = met.of_weights(stop.node, squares(stop.site, widths.weight))
            yield stop.site.name, widths, noise + met.of_input(stop.site, widths.activation)


@dataclass(frozen=True)
class _Powers:
    """E[x²] per channel of the input, and Σ_o E[y_o²]."""

    inputs: Values
    output: float

    def of_weights(self, node: Node, squares: Values) -> float:
        return float((squares * _facing(node, self.inputs)).sum()) / self.output

    def of_input(self, site: Site, bits: int) -> float:
        form = site.formats[bits]
        if form is None:
            return 0.0
        total = float(np.square(site.weight.array.astype(np.float64)).sum())
        return total * form[1].scale[0] ** 2 / 12 / self.output


def _facing(node: Node, power: Values) -> Values:
    """The power of the input that each weight is multiplied with, in a shape that broadcasts."""
    match node:
        case Conv(w=w, groups=groups):
            rows = power.reshape(groups, -1).repeat(int(np.asarray(w.type.shape)[0]) // groups, 0)
            return rows.reshape(*rows.shape, *(1,) * (w.type.rank - 2))
        case ConvTranspose(w=w):
            return power.reshape(-1, *(1,) * (w.type.rank - 1))
        case MatMul() if weight(node) == (node.b, node.b.type.rank - 1):
            return power[:, None]
        case _:
            return np.asarray(power.mean())


def _powers(node: Node, walk: Walk) -> _Powers:
    found = weight(node)
    assert found is not None
    x = node.operands[1 - node.operands.index(found[0])]
    last = isinstance(node, MatMul)

    def one(i: int) -> tuple[Tensor, Tensor]:
        real = walk.network.value(x, walk.batches[i])
        return _by_channel(real, last=last), _by_channel(
            walk.network.apply(node, walk.batches[i]), last=last
        )

    inputs, outputs = zip(*walk.each(one), strict=True)
    mean = torch.stack(inputs).mean(0).numpy()
    return _Powers(mean, max(float(torch.stack(outputs).mean(0).sum()), 1e-300))


def _by_channel(x: Tensor, *, last: bool) -> Tensor:
    axis = x.ndim - 1 if last else 1
    rows = x.double().movedim(axis, 0).reshape(x.shape[axis], -1)
    return rows.square().mean(1)
