"""Planar pictures of the caller's that become 2 to 4 interleaved bytes per pixel."""

from __future__ import annotations

from collections.abc import Callable

from qcompile.ir.node import Node
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Draft, External, Value, load_of
from qcompile.targets.loops.lowering import Lowering

Make = Callable[[Draft, e.Load], e.Expr]


def is_picture(ctx: Lowering, source: Value, target: Value) -> bool:
    """[n, c, h, w], 2 to 4 channels, planar there and interleaved here, rows of full registers."""
    shape = target.layout.shape
    return (
        len(shape) == 4
        and source.layout.shape == shape
        and target.layout.order == (0, 2, 3, 1)
        and target.layout.width in (2, 4)
        and target.elem in ("u8", "i8")
        and isinstance(source.where, External)
        and shape[3] >= ctx.lanes
    )


def interleave(ctx: Lowering, node: Node, source: Value, target: Value, make: Make) -> None:
    """All channels of a pixel as one word: byte j is what `make` says of channel j's element."""
    n, channels, h, w = target.layout.shape
    width = target.layout.width
    draft = ctx.draft((n, h, w), (0, 1, 2), exact=True)
    strides = source.layout.strides
    word: e.Expr | None = None
    for channel in range(channels):
        number = draft.view(
            source.where, source.elem, [strides[a] for a in (0, 2, 3)],
            offset=source.layout.offset + channel * strides[1],
        )  # fmt: skip
        part = make(draft, load_of(number, source.elem))
        byte = e.Binary(0, 255, "i32", "and", part, e.imm(255))
        moved = e.Binary(*e.INT32, "i32", "shl", byte, e.imm(8 * channel)) if channel else byte
        word = moved if word is None else e.Binary(*e.INT32, "i32", "or", word, moved)
    assert word is not None
    out = tuple(target.layout.strides[a] // width for a in (0, 2, 3))
    kind = "i32" if width == 4 else "i16"
    words = Value(target.where, target.layout, kind, target.fill)
    place = (out, target.layout.offset // width)
    ctx.finish(node, draft, words, word, place=place, border=target)
