"""Nests → one object file.

The kernels are plain C functions, `void name(view pointers…, out, int32 lo, int32 hi)`: no TVM
calling convention, no TVM library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tvm
import tvm.ir.transform
import tvm.tirx.transform
from tvm.target import Target

from qcompile.targets.loops.nest import Nest
from qcompile.targets.tvm.isa import Isa
from qcompile.targets.tvm.kernel import prim_func


def compile_nests(nests: dict[str, Nest], isa: Isa, path: Path) -> None:
    """Writes the object file of all kernels (or assembly, for a path that ends in .s)."""
    target = _target(isa)
    functions = {name: prim_func(nest, name, isa) for name, nest in nests.items()}
    passes: Any = tvm.tirx.transform
    with target:
        lower: Any = tvm.ir.transform.Sequential([passes.BindTarget(target), passes.LowerIntrin()])
        module: Any = lower(tvm.IRModule(functions))
        build: Any = tvm.get_global_func("target.build.llvm")
        library = build(module, target)
    library.write_to_file(str(path), path.suffix[1:])


def _target(isa: Isa) -> Target:
    description: dict[str, Any] = {"kind": "llvm", "mtriple": isa.triple, "mcpu": isa.cpu}
    if isa.attributes:
        description["mattr"] = list(isa.attributes)
    return Target(description)
