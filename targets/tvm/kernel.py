"""Loop nests → PrimFuncs: `void name(views…, out, lo, hi)` computes tasks lo … hi−1."""

from __future__ import annotations

from qcompile.targets.loops.nest import Nest
from qcompile.targets.tvm.abreast import AbreastKernel
from qcompile.targets.tvm.codegen import Kernel
from qcompile.targets.tvm.isa import Isa
from qcompile.targets.tvm.script import Builder, T, Tir


def prim_func(nest: Nest, name: str, isa: Isa) -> Tir:
    """The kernel of a nest."""
    kernel = Kernel if nest.abreast == 1 else AbreastKernel
    with Builder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tirx.noalias": True})
        kernel(nest, isa).emit()
    return builder.get().with_attr("global_symbol", name)
