"""Spelled-out normalizations become one op: layer norms and root mean square norms.

Of x, a mean and the root of a variance, in the spellings of exporters: squares by pow or mul, means
by a mean or a sum and a factor, the variance centred or as mean(x²) − mean(x)², the root divided by
or multiplied with, and the affine form x·s + (beta − mean·s) of TensorFlow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from qcompile.ir.dims import is_static, static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Div, Mul, Pow, Sub
from qcompile.ir.ops.norm import LayerNorm, RmsNorm
from qcompile.ir.ops.pointwise import Cast, Clip, Reciprocal, Relu, Sqrt
from qcompile.ir.ops.reduce import ReduceMean, ReduceSum
from qcompile.ir.ops.shape import Reshape
from qcompile.ir.ops.source import Const, const
from qcompile.ir.rewrite import Site, first_of, until_same
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.fuse_activations import value
from qcompile.passes.invariants import CANONICAL


@dataclass(frozen=True)
class FuseNorms(Pass):
    """Norms over the last axes only; parameters are constants that vary along those (on the right).

    A norm whose middle values are read elsewhere is fused too: they are computed beside it.
    """

    name: ClassVar[str] = "fuse-norms"
    requires = frozenset({CANONICAL})
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    def run(self, graph: Graph) -> Graph:
        """To a fixed point."""
        return until_same(graph, first_of(_affine, _quotient, _centred, _parameter, _narrow))


@dataclass(frozen=True)
class _Root:
    """1 / √(statistic of x + eps), the statistic over the axes from `axis` on."""

    x: Node
    axis: int
    eps: float
    centred: bool  # the variance, else the mean square


def _quotient(node: Node, site: Site) -> Node | None:
    """x / √(mean(x²) + eps) → rms_norm; (x − mean) / √(var + eps) → layer_norm."""
    match node:
        case Div(a=above, b=below):
            root = _root_of(below)
        case Mul(a=above, b=below) if (root := _inverse_root(below)) is not None:
            pass
        case Mul(a=below, b=above) if (root := _inverse_root(below)) is not None:
            pass
        case Mul(a=above, b=Mul(a=below, b=Const() as scale)):
            norm = _normal(above, below, _inverse_root(below), node.name)
            return None if norm is None else Mul(norm, scale, name=node.name)
        case _:
            return None
    return _normal(above, below, root, node.name)


def _normal(above: Node, below: Node, root: _Root | None, name: str) -> Node | None:
    if root is None or above.type != root.x.type or not _kept(below, root.x, root.axis):
        return None
    if not root.centred:
        same = _alike(above, root.x)
        return RmsNorm(root.x, None, root.axis, root.eps, name=name) if same else None
    match above:
        case Sub(a=x, b=mean) if x is root.x and _is_mean(mean, x, root.axis):
            return LayerNorm(x, axis=root.axis, eps=root.eps, name=name)
        case _:
            return None


def _affine(node: Node, site: Site) -> Node | None:
    """x·s + (beta − mean·s) → layer_norm, where s is 1/√(var + eps) or that times a constant."""
    match node:
        case Add(a=Mul() as scaled, b=Sub(a=Const() as beta, b=Mul(a=mean, b=s))):
            pass
        case Add(a=Sub(a=Const() as beta, b=Mul(a=mean, b=s)), b=Mul() as scaled):
            pass
        case Sub(a=Mul() as scaled, b=Mul(a=mean, b=s)):
            beta = None
        case _:
            return None
    x = scaled.a if scaled.b is s else scaled.b
    if s not in (scaled.a, scaled.b):
        return None
    gamma = s.b if isinstance(s, Mul) and isinstance(s.b, Const) else None
    below = s.a if isinstance(s, Mul) and gamma is not None else s
    root = _inverse_root(below)
    if root is None or not root.centred or x is not root.x or not _is_mean(mean, x, root.axis):
        return None
    if not _kept(below, x, root.axis):
        return None
    norm: Node = LayerNorm(x, axis=root.axis, eps=root.eps, name=node.name)
    norm = norm if gamma is None else Mul(norm, gamma, name=node.name)
    return norm if beta is None else Add(norm, beta, name=node.name)


def _centred(node: Node, site: Site) -> Node | None:
    """rms_norm(x − mean(x)) → layer_norm(x)."""
    match node:
        case RmsNorm(x=Sub(a=x, b=mean), scale=gamma, axis=axis) if _is_mean(mean, x, axis):
            if node.type != x.type:
                return None
            return LayerNorm(x, gamma, None, axis, node.eps, name=node.name)
        case _:
            return None


def _parameter(node: Node, site: Site) -> Node | None:
    """norm · gamma and norm + beta go into the norm."""
    match node:
        case Mul(a=RmsNorm(scale=None) as norm, b=Const() as c):
            field = "scale"
        case Mul(a=LayerNorm(gamma=None, beta=None) as norm, b=Const() as c):
            field = "gamma"
        case Add(a=LayerNorm(beta=None) as norm, b=Const() as c):
            field = "beta"
        case _:
            return None
    row = _row(c, norm, norm.axis)
    if row is None or node.type != norm.type or not site.sole(norm):
        return None
    return norm.replace(**{field: row, "name": node.name})


def _narrow(node: Node, site: Site) -> Node | None:
    """cast(norm) · gamma → cast(norm · gamma): models in halves normalize in singles."""
    match node:
        case Mul(a=Cast(x=RmsNorm() | LayerNorm() as norm, to=to) as cast, b=Const() as c):
            if not to.is_float or to.bits >= norm.type.elem.bits or not site.sole(cast):
                return None
            if _row(c, norm, norm.axis) is None or node.type != cast.type:
                return None
            wide: Any = c.array
            scale = const(wide.astype(norm.type.elem.storage), name=c.name)
            return Cast(Mul(norm, scale, name=norm.name), to, name=node.name)
        case _:
            return None


def _inverse_root(node: Node) -> _Root | None:
    """1 / √(statistic + eps)."""
    match node:
        case Reciprocal(x=root):
            return _root_of(root)
        case Div(a=Const() as one, b=root) if value(one) == 1.0:
            return _root_of(root)
        case Pow(a=guarded, b=Const() as power) if value(power) == -0.5:
            return _guarded(guarded)
        case Reshape(x=inner):
            return _inverse_root(inner)
        case _:
            return None


def _root_of(node: Node) -> _Root | None:
    match node:
        case Reshape(x=inner):
            return _root_of(inner)
        case Sqrt(x=guarded):
            return _guarded(guarded)
        case Pow(a=guarded, b=Const() as power) if value(power) == 0.5:
            return _guarded(guarded)
        case _:
            return None


def _guarded(node: Node) -> _Root | None:
    """statistic + eps."""
    match node:
        case Add(a=statistic, b=Const() as small):
            eps = _shortest(small)
        case _:
            return None
    found = _variance(statistic) or _mean_square(statistic)
    if found is None or eps is None or eps < 0:
        return None
    x, axis, centred = found
    return _Root(x, axis, eps, centred)


def _shortest(c: Const) -> float | None:
    """The one number of a constant, as the shortest decimal that its format reads alike."""
    return None if value(c) is None else float(str(c.array.reshape(-1)[0]))


def _mean_square(node: Node) -> tuple[Node, int, bool] | None:
    """mean(x²)."""
    found = _mean(node)
    if found is None:
        return None
    x = _squared(found[0])
    return None if x is None else (x, found[1], False)


def _variance(node: Node) -> tuple[Node, int, bool] | None:
    """mean(x²) − mean(x)², held above 0 or not; the centred form is a mean square."""
    match node:
        case Reshape(x=inner) | Relu(x=inner) | Clip(x=inner, lo=0.0, hi=math.inf):
            return _variance(inner)
        case Sub(a=mean_square, b=square):
            found, mean = _mean_square(mean_square), _squared(square)
            if found is None or mean is None:
                return None
            x, axis, _ = found
            return (x, axis, True) if _is_mean(mean, x, axis, kept=False) else None
        case _:
            return None


def _squared(node: Node) -> Node | None:
    """x of x²."""
    match node:
        case Mul(a=x, b=y) if x is y:
            return x
        case Pow(a=x, b=Const() as power) if value(power) == 2.0:
            return x
        case _:
            return None


def _is_mean(node: Node, x: Node, axis: int, *, kept: bool = True) -> bool:
    """The mean of x over the axes from `axis` on; `kept` when it must spread over x."""
    found = _mean(node)
    same = found is not None and found[0] is x and found[1] == axis
    return same and (_kept(node, x, axis) or not kept)


def _mean(node: Node) -> tuple[Node, int] | None:
    """(x, axis) of the mean of x over the axes from `axis` on, under any shape."""
    match node:
        case ReduceMean(x=x, axes=axes):
            share = 1.0
        case Mul(a=ReduceSum(x=x, axes=axes), b=Const() as c) if (one := value(c)) is not None:
            if not is_static(x.type.shape):
                return None
            share = one * math.prod(static(x.type.shape)[a] for a in axes)
        case Reshape(x=inner):
            return _mean(inner)
        case _:
            return None
    trailing = bool(axes) and axes == tuple(range(axes[0], x.type.rank))
    return (x, axes[0]) if trailing and math.isclose(share, 1.0, rel_tol=1e-6) else None


def _kept(node: Node, x: Node, axis: int) -> bool:
    """One number for each row of x, with the row's axes as 1."""
    return node.type.shape == (*x.type.shape[:axis], *(1,) * (x.type.rank - axis))


def _alike(a: Node, b: Node) -> bool:
    """The same value: one node, or x minus the same mean written twice."""
    match a, b:
        case _ if a is b:
            return True
        case Sub(), Sub():
            same = _mean(a.b) is not None and _mean(a.b) == _mean(b.b)
            return a.a is b.a and same and a.b.type == b.b.type
        case _:
            return False


def _row(c: Const, norm: Node, axis: int) -> Const | None:
    """The constant as a parameter of the norm; None when it varies from row to row."""
    shape, rank = static(c.type.shape), norm.type.rank
    whole = norm.type.shape[axis:]
    if len(shape) > rank or not is_static(whole):
        return None
    full = (1,) * (rank - len(shape)) + shape
    if any(d != 1 for d in full[:axis]):
        return None
    if full[axis:] == whole == c.type.shape:
        return c
    return const(np.broadcast_to(c.array.reshape(full[axis:]), static(whole)), name=c.name)
