"""Why a map may not act."""

from __future__ import annotations

from dataclasses import dataclass

from qcompile.ir.node import Node


@dataclass(frozen=True)
class Blocker:
    """The operation and the reason."""

    node: Node
    why: str

    def __str__(self) -> str:
        return f"{self.node.name or self.node.op}: {self.why}"
