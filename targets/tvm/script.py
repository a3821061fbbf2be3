"""TVM's script builder under its usual name, untyped: it takes more than its annotations say."""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import IRBuilder
from tvm.tirx import EQ, NE
from tvm.tirx.script import builder

T: Any = builder
Builder: Any = IRBuilder
equal: Any = EQ
unequal: Any = NE
Tir = Any
