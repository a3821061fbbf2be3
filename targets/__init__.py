"""The targets by name, imported when used; others by entry point group `qcompile.targets`."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points

from qcompile.errors import TargetError
from qcompile.targets.base import Target

TARGETS: Mapping[str, str] = {
    "reference": "qcompile.targets.reference.target:REFERENCE",
    "onnx-int": "qcompile.targets.onnx.target:ONNX_INT",
    "onnx-qdq": "qcompile.targets.onnx.target:ONNX_QDQ",
    "x86-int8": "qcompile.targets.tvm.target:X86_INT8",
    "arm64-int8": "qcompile.targets.tvm.target:ARM64_INT8",
    "t4-int4": "qcompile.targets.cuda.target:T4_INT4",
    "t4-int8": "qcompile.targets.cuda.target:T4_INT8",
    "a10-int4": "qcompile.targets.cuda.target:A10_INT4",
    "a10-int8": "qcompile.targets.cuda.target:A10_INT8",
    "a100-int4": "qcompile.targets.cuda.target:A100_INT4",
    "a100-int8": "qcompile.targets.cuda.target:A100_INT8",
    "orin-int4": "qcompile.targets.cuda.target:ORIN_INT4",
    "orin-int8": "qcompile.targets.cuda.target:ORIN_INT8",
    "l4-int4": "qcompile.targets.cuda.target:L4_INT4",
    "l4-int8": "qcompile.targets.cuda.target:L4_INT8",
    "h100-int4": "qcompile.targets.cuda.target:H100_INT4",
    "h100-int8": "qcompile.targets.cuda.target:H100_INT8",
}

NOT_YET = ("l4-fp8", "h100-fp8")


def target_names() -> tuple[str, ...]:
    """All names that `target` knows, built-in ones first."""
    outside = sorted(entry.name for entry in entry_points(group="qcompile.targets"))
    return (*TARGETS, *(name for name in outside if name not in TARGETS))


def target(name: str) -> Target:
    """The target of this name; `TargetError` suggests near names."""
    if name in TARGETS:
        module, _, attribute = TARGETS[name].partition(":")
        return getattr(import_module(module), attribute)
    for entry in entry_points(group="qcompile.targets"):
        if entry.name == name:
            return entry.load()
    if name in NOT_YET:
        raise TargetError(
            f"target {name!r} is not yet built; today there are {', '.join(target_names())}"
        )
    near = get_close_matches(name, (*target_names(), *NOT_YET), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join(target_names())}"
    raise TargetError(f"no target {name!r}: {hint}; `qcompile targets` lists them")
