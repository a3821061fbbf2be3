"""The right operand of a product of values, packed at run time: [..., k, n] → [..., k/4, n].

A word holds four neighbours along k as the dot instruction wants its weights: signed, so unsigned
bytes go in less 128. Bytes past the last k are 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from qcompile.ir.dims import static
from qcompile.ir.ops.linear import MatMul
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Draft, External, Stored, Value, load_of
from qcompile.targets.loops.layout import padded_width
from qcompile.targets.loops.lowering import Lowering
from qcompile.targets.loops.weights import zero_of

WORD = 4


@dataclass(frozen=True)
class Words:
    """A product's right operand: its shape, and how its bytes go in. `lanes`: of a register."""

    ctx: Lowering
    node: MatMul
    lanes: int

    @property
    def batch(self) -> tuple[int, ...]:
        """The axes before the matrices."""
        return static(self.node.b.type.shape)[:-2]

    @property
    def depth(self) -> int:
        """k."""
        return static(self.node.b.type.shape)[-2]

    @property
    def columns(self) -> int:
        """n."""
        return static(self.node.b.type.shape)[-1]

    @property
    def groups(self) -> int:
        """Words of a column."""
        return -(-self.depth // WORD)

    @property
    def flips(self) -> bool:
        """The bytes are unsigned."""
        return not self.node.b.type.elem.signed

    @property
    def zero(self) -> int:
        """The zero point of what goes in."""
        return zero_of(self.node.b) - (128 if self.flips else 0)

    def packed(self) -> Value:
        """The words in memory, rows padded to whole registers."""
        width = padded_width(max(self.columns, self.lanes))
        target = self.ctx.dense_scratch(self.node, (*self.batch, self.groups, width), "i32")
        whole, rest = divmod(self.depth, WORD)
        for first, count, size in ((0, whole, WORD), (whole, 1, rest)):
            if count and size:
                self._pack(target, first, count, size)
        return target

    def _pack(self, target: Value, first: int, count: int, size: int) -> None:
        """`count` words of each column from number `first` on; `size` bytes of each count."""
        source = self._source()
        lanes = None if self.columns >= self.lanes else 1
        shape = (*self.batch, count, self.columns)
        draft = self.ctx.draft(shape, range(len(shape)), lanes=lanes, exact=True)
        by_word = source.layout.inner == len(shape) - 2 and self.depth > 1
        make = self._whole if by_word else self._gathered
        word = make(draft, source, first, size)
        if self.flips:
            word = _pair("xor", word, _each_byte(0x80, size))
        place = target.layout.strides
        self.ctx.finish(self.node, draft, target, word, place=(place, first * place[-2]))

    def _source(self) -> Value:
        """The bytes: neighbours along n, or along k in rows of whole words."""
        value = self.ctx.value(self.node.b)
        layout, rank = value.layout, self.node.b.type.rank
        elsewhere = isinstance(value.where, External | Stored) or layout.has_halo
        words = all(s % WORD == 0 for a, s in enumerate(layout.strides) if a != rank - 2)
        if not elsewhere and (layout.inner == rank - 1 or (layout.inner == rank - 2 and words)):
            return value
        return self.ctx.read(self.node.b, range(rank))

    def _whole(self, draft: Draft, source: Value, first: int, size: int) -> e.Expr:
        """Four neighbours at once; what does not count is masked."""
        *before, _, across = source.layout.strides
        steps = [*(s // WORD for s in before), 1, across // WORD]
        word = e.load(draft.view(source.where, "i32", steps, offset=first), "i32")
        return word if size == WORD else _pair("and", word, _each_byte(0xFF, size))

    def _gathered(self, draft: Draft, source: Value, first: int, size: int) -> e.Expr:
        """Bytes of up to four rows, side by side."""
        *before, along, across = source.layout.strides
        steps = [*before, WORD * along, across]

        def byte(i: int) -> e.Expr:
            offset = (WORD * first + i) * along
            loaded = load_of(
                draft.view(source.where, source.elem, steps, offset=offset), source.elem
            )
            low = _pair("and", loaded, e.imm(0xFF))
            return _pair("shl", low, e.imm(8 * i)) if i else low

        return reduce(lambda a, b: _pair("or", a, b), map(byte, range(size)))


def _pair(op: str, a: e.Expr, b: e.Expr) -> e.Expr:
    return e.Binary(*e.INT32, "i32", op, a, b)


def _each_byte(byte: int, size: int) -> e.Expr:
    """The byte in each of the word's first `size` places."""
    value = int.from_bytes(bytes([byte] * size), "little")
    return e.imm(value - (1 << 32) if value >= 1 << 31 else value)
