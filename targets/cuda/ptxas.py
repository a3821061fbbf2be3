"""What the assembler says of each kernel: registers, stack, spills, shared memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ENTRY = re.compile(r"Compiling entry function '(\w+)' for")
_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_DEEPEST = re.compile(r"(\d+) bytes cumulative stack size")
_SHARED = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True, slots=True)
class Usage:
    """`registers` of 32 bits a thread, all else in bytes; `shared` is static shared memory.

    Functions that the kernel calls count as the kernel's own.
    """

    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    shared: int


def usage(log: str) -> Mapping[str, Usage]:
    """Of every kernel in the log of `--ptxas-options=-v`, by name."""
    parts = _ENTRY.split(log)
    return {name: _one(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _one(text: str) -> Usage:
    """From the lines of one kernel, which are followed by those of the functions it calls."""
    frames = [tuple(map(int, frame)) for frame in _FRAME.findall(text)]
    return Usage(
        registers=max(_all(_USED, text)),
        stack=max([frame[0] for frame in frames] + _all(_DEEPEST, text)),
        spill_stores=sum(frame[1] for frame in frames),
        spill_loads=sum(frame[2] for frame in frames),
        shared=max(_all(_SHARED, text), default=0),
    )


def _all(pattern: re.Pattern[str], text: str) -> list[int]:
    return [int(number) for number in pattern.findall(text)]
