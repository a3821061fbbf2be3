"""Numbers and texts ↔ the bytes of a plan: little-endian, one after another, each within bounds."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from qcompile.errors import ArtifactError

T = TypeVar("T")


@dataclass
class Writer:
    """Appends fields."""

    data: bytearray = field(default_factory=bytearray)

    def u32(self, value: int) -> None:
        """A number below 2³²."""
        self.data += struct.pack("<I", value)

    def i32(self, value: int) -> None:
        """A signed number."""
        self.data += struct.pack("<i", value)

    def u64(self, value: int) -> None:
        """A size, an offset or a checksum."""
        self.data += struct.pack("<Q", value)

    def f32(self, value: float) -> None:
        """A real, rounded to the nearest f32."""
        self.data += struct.pack("<f", value)

    def text(self, value: str) -> None:
        """Length, bytes, and a zero that C can stop at."""
        data = value.encode()
        if 0 in data:
            raise ArtifactError(f"{value!r} holds a zero byte, which ends a text in C: rename it")
        self.u32(len(data))
        self.data += data + b"\0"

    def each(self, values: Iterable[T], write: Callable[[T], None]) -> None:
        """All of them, without a count."""
        for value in values:
            write(value)


@dataclass
class Reader:
    """Takes the fields back. `ArtifactError` where the bytes end too early."""

    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count > len(self.data) - self.at:
            raise ArtifactError(f"plan.bin ends at byte {len(self.data)}, within a field")
        self.at += count
        return self.data[self.at - count : self.at]

    def u32(self) -> int:
        """A number below 2³²."""
        return int.from_bytes(self.take(4), "little")

    def i32(self) -> int:
        """A signed number."""
        return int.from_bytes(self.take(4), "little", signed=True)

    def u64(self) -> int:
        """A size, an offset or a checksum."""
        return int.from_bytes(self.take(8), "little")

    def f32(self) -> float:
        """A real."""
        return float(struct.unpack("<f", self.take(4))[0])

    def text(self) -> str:
        """What stands before the zero."""
        data = self.take(self.u32())
        if self.take(1) != b"\0" or 0 in data:
            raise ArtifactError("plan.bin: a text does not end where it should")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise ArtifactError(f"plan.bin: {data!r} is no text") from error

    def each(self, count: int, read: Callable[[], T]) -> tuple[T, ...]:
        """So many of them."""
        if count > len(self.data) - self.at:
            raise ArtifactError(f"plan.bin: {count} records in {len(self.data) - self.at} bytes")
        return tuple(read() for _ in range(count))
