"""All aten operators that have a translation, by name."""

from __future__ import annotations

from qcompile.frontends.aten_binary import BINARY
from qcompile.frontends.aten_call import Family, Translator
from qcompile.frontends.aten_choose import CHOOSE
from qcompile.frontends.aten_linear import LINEAR
from qcompile.frontends.aten_norm import NORM
from qcompile.frontends.aten_pointwise import POINTWISE
from qcompile.frontends.aten_pool import POOL
from qcompile.frontends.aten_reduce import REDUCE
from qcompile.frontends.aten_shape import SHAPE
from qcompile.frontends.aten_spatial import SPATIAL

ATEN: Family = {
    **LINEAR,
    **POINTWISE,
    **BINARY,
    **SHAPE,
    **SPATIAL,
    **POOL,
    **REDUCE,
    **NORM,
    **CHOOSE,
}


def translator(operator: str) -> Translator | None:
    """The translator of `aten.max.dim`: the overload's own, else that of all overloads."""
    namespace, _, overload = operator.partition(".")
    if namespace != "aten":
        return None
    return ATEN.get(overload) or ATEN.get(overload.partition(".")[0])
