"""Element formats of loop nests as CUDA types, and the integers that they hold."""

from __future__ import annotations

from collections.abc import Mapping

from qcompile.targets.loops.expr import INT32

BITS: Mapping[str, int] = {
    "u4": 4, "i4": 4, "u8": 8, "i8": 8, "bool": 8, "u16": 16, "i16": 16, "i32": 32, "f32": 32,
    "i64": 64,
}  # fmt: skip
RANGES: Mapping[str, tuple[int, int]] = {
    "u4": (0, 15), "i4": (-8, 7), "u8": (0, 255), "i8": (-128, 127), "bool": (0, 255),
    "u16": (0, 65535), "i16": (-32768, 32767), "i32": INT32,
}  # fmt: skip
TYPES: Mapping[str, str] = {
    "u4": "uint8_t", "i4": "uint8_t", "u8": "uint8_t", "i8": "int8_t", "bool": "uint8_t",
    "u16": "uint16_t", "i16": "int16_t", "i32": "int", "f32": "float", "i64": "long long",
}  # fmt: skip


def kind(elem: str) -> str:
    """The type of a register that holds an element."""
    return {"f32": "float", "i64": "long long"}.get(elem, "int")


def tag(elem: str) -> str:
    """The format's name in the device header."""
    return f"qc::{'u8' if elem == 'bool' else elem}"
