"""Patterns that name nodes: a name, a glob on names, or `op:Conv`."""

from __future__ import annotations

from fnmatch import fnmatchcase

from qcompile.ir.node import Node


def names(pattern: str, node: Node) -> bool:
    """True when the pattern means this node: by its name as it is, by a glob, or by `op:` and its
    operation, in ONNX's spelling or ours."""
    if pattern.startswith("op:"):
        wanted = pattern[3:].replace("_", "").lower()
        return fnmatchcase(node.op.replace("_", ""), wanted)
    return node.name == pattern or fnmatchcase(node.name, pattern)
