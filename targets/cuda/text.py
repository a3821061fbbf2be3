"""Numbers, conversions and parentheses as CUDA text."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import numpy as np

from qcompile.targets.loops.expr import INT32

_CONVERSIONS: Mapping[tuple[str, str], str] = {
    ("int", "float"): "__int2float_rn",
    ("long long", "float"): "__ll2float_rn",
    ("float", "int"): "__float2int_rz",
    ("float", "long long"): "__float2ll_rz",
    ("int", "long long"): "(long long)",
    ("long long", "int"): "(int)",
}


def literal(value: float, elem: str = "i32") -> str:
    """A constant as an operand."""
    if elem == "f32":
        return _real(value)
    whole = int(value)
    suffix = "ll" if elem == "i64" or abs(whole) > INT32[1] else ""
    if whole == INT32[0] and elem != "i64":
        return "(-2147483647 - 1)"
    return f"{whole}{suffix}" if whole >= 0 else f"({whole}{suffix})"


def _real(value: float) -> str:
    number = np.float32(value)
    if not isfinite(number):
        bits = int(number.view(np.uint32))
        return f"__uint_as_float({bits:#x}u)"
    text = np.format_float_scientific(number, unique=True, trim="0")
    return f"{text}f" if number >= 0 else f"({text}f)"


def plus(addend: int) -> str:
    """What adds a constant."""
    return "" if addend == 0 else f" + {addend}" if addend > 0 else f" - {-addend}"


def converted(text: str, source: str, target: str) -> str:
    """A register of one type as another: floats are truncated."""
    if source == target:
        return text
    name = _CONVERSIONS[source, target]
    return f"{name}{text}" if name.startswith("(") else f"{name}({bare(text)})"


def is_compound(text: str) -> bool:
    """More than a name, an element or a number."""
    return not text.replace("_", "").replace("[", "").replace("]", "").isalnum()


def bare(text: str) -> str:
    """The text without parentheses that enclose all of it."""
    if not text.startswith("(") or not text.endswith(")"):
        return text
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0 and i < len(text) - 1:
            return text
    return text[1:-1]
