"""One block of lanes as CUDA text: what is read, what each lane computes, what is written.

A `Block` is filled statement by statement by those who know the loops around it: whole kernels
(`nest_kernel`) and what becomes of a contraction's sums (`finish`). View number i is the pointer
`vi`, its elements are `xi`, and `i` is the lane.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace

from qcompile.targets.cuda.addresses import Places, address, is_wide, whole_words
from qcompile.targets.cuda.arrays import Array, Result
from qcompile.targets.cuda.expression import Lane, Sources
from qcompile.targets.cuda.formats import BITS, RANGES, TYPES, kind, tag
from qcompile.targets.cuda.holding import stored
from qcompile.targets.cuda.text import converted
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.nest import NIBBLES, Nest, Table, View

UNROLL = "#pragma unroll"
LINE = 80  # characters of parameters on one line


@dataclass
class Block:
    """The text for one block of lanes of a nest, as it grows.

    `arrays`: what is known of the arrays, views first. In a nest whose last block has lanes that
    hold nothing, `count` says as text how many do. `guard` stands before what writes.
    """

    nest: Nest
    places: Places
    arrays: Sequence[Array]
    acc: str = ""
    guard: str = ""
    lines: list[str] = field(default_factory=list[str])
    depth: int = 1
    loaded: dict[int, str] = field(default_factory=dict[int, str])
    addresses: dict[tuple[str, bool], str] = field(default_factory=dict[tuple[str, bool], str])

    @property
    def ragged(self) -> bool:
        """The last block has lanes that hold nothing."""
        return self.nest.outer[-1] % self.nest.lanes > 0

    @property
    def counts(self) -> bool:
        """Some array may not be touched in such lanes, so that `count` is needed."""
        outside = any(a.outside for a in self.arrays[: len(self.nest.views)])
        return self.ragged and (self.nest.exact or outside)

    # lines

    def line(self, text: str) -> None:
        """One line at the present depth."""
        self.lines.append(f"{'    ' * self.depth}{text}" if text[0] != "#" else text)

    def open(self, text: str) -> None:
        """A line that begins a block in braces."""
        self.line(f"{text} {{")
        self.depth += 1

    @contextmanager
    def scope(self, text: str) -> Generator[None, None, None]:
        """A block in braces: what is read inside is forgotten behind it."""
        loaded, addresses = dict(self.loaded), dict(self.addresses)
        self.open(text)
        yield
        self.close()
        self.loaded, self.addresses = loaded, addresses

    def close(self) -> None:
        """The end of a block."""
        self.depth -= 1
        self.line("}")

    # reading

    def read(self, *roots: e.Expr | None, inner: bool = False) -> None:
        """Reads what the expressions refer to and is not read yet."""
        for view in loads(*roots):
            if view not in self.loaded and (inner or not self.moves_inside(view)):
                self.loaded[view] = self._load(view)

    def moves_inside(self, number: int) -> bool:
        """The view runs along the reduced loops."""
        nest = self.nest
        steps = nest.views[number].steps[len(nest.outer) :]
        return any(s != 0 and d > 1 for s, d in zip(steps, nest.inner, strict=True))

    def _load(self, number: int) -> str:
        view, lanes, name = self.nest.views[number], self.nest.lanes, f"x{number}"
        at = self.at(view, "at")
        if lanes == 1 or view.lane == 0:
            self.line(f"const {kind(view.elem)} {name} = {_element(view, number, at)};")
            return name
        how, arguments = self._neighbours(number, view, at)
        self.line(f"const auto {name} = qc::{how}(v{number}, {arguments});")
        return f"{name}[i]"

    def _neighbours(self, number: int, view: View, at: str) -> tuple[str, str]:
        shape = f"{tag(view.elem)}, {self.nest.lanes}"
        if isinstance(view.lane, Table):
            return f"gather_at<{shape}>", f"{at}, {self._places_of(view.lane.view)}"
        if self.ragged and self.arrays[number].outside:
            return f"gather<{shape}>", f"{at}, {view.lane}, count"
        size = whole_words(self.nest, view, self.arrays[number].alignment)
        if size:
            return f"load<{shape}, {size}>", at
        return f"gather<{shape}>", f"{at}, {view.lane}"

    def _places_of(self, table: int) -> str:
        """The entries of a table that is looked up lane by lane."""
        if table not in self.loaded:
            start, lanes = self.places.lane_start(self.nest.lanes), self.nest.lanes
            name, size = f"x{table}", min(16, 4 * lanes)
            self.line(f"const auto {name} = qc::load<qc::i32, {lanes}, {size}>(v{table}, {start});")
            self.loaded[table] = f"{name}[i]"
        return f"x{table}"

    def at(self, view: View, name: str, *, more: str = "") -> str:
        """The view's address for this block: a name or a number."""
        text, wide = address(self.nest, view, self.places, more=more), is_wide(self.nest, view)
        if text.isidentifier() or text.isdigit():
            return text
        if (text, wide) not in self.addresses:
            taken = len([n for n in self.addresses.values() if n.startswith(name)])
            chosen = f"{name}{taken}" if name == "at" else name
            self.line(f"const {'long long' if wide else 'int'} {chosen} = {text};")
            self.addresses[text, wide] = chosen
        return self.addresses[text, wide]

    # computing

    def lane(self, *roots: e.Expr) -> Lane:
        """An empty list of statements for one lane."""
        for view in lookups(*roots):
            self.at(self.nest.views[view], "at")
        sources = Sources(
            self.loaded.__getitem__, self._element_at, self._elem, self.acc, apart=self.ragged
        )
        return Lane(sources, roots)

    def each_lane(self, statements: Sequence[str]) -> None:
        """The statements for lane i, for all lanes."""
        if self.nest.lanes == 1:
            for text in statements:
                self.line(text)
            return
        self.line(UNROLL)
        head = f"for (int i = 0; i < {self.nest.lanes}; ++i)"
        if len(statements) == 1:
            self.line(f"{head} {statements[0]}")
            return
        self.open(head)
        for text in statements:
            self.line(text)
        self.close()

    def _elem(self, view: int) -> str:
        return self.nest.views[view].elem

    def _element_at(self, number: int, index: str) -> str:
        view = self.nest.views[number]
        at = self.at(view, "at")
        assert isinstance(view.lane, int)
        step = view.lane if self.nest.lanes > 1 else 0
        lane = "" if step == 0 else "i" if step == 1 else f"i * {step}"
        return _element(
            view, number, " + ".join(t for t in (at, lane, index) if t not in ("", "0"))
        )

    # writing

    def write(self, results: Sequence[Result]) -> None:
        """Computes what is written for every lane, and writes it."""
        self.read(*(r.x for r in results))
        waiting = [self._wanted(r, self.at(r.out, r.name("to"), more=r.more)) for r in results]
        waiting = [w for w in waiting if w is not None]
        lane = self.lane(*(w.x for w in waiting))
        stores: list[str] = []
        for w in waiting:
            value = converted(lane.result(w.x), kind(w.x.elem), kind(w.out.elem))
            if self.nest.lanes == 1:
                stores.append(f"{w.pointer}[{w.to}] = {value};")
            else:
                self.line(f"{kind(w.out.elem)} {w.name('y')}[{self.nest.lanes}];")
                stores.append(f"{w.name('y')}[i] = {value};")
        if waiting:
            self.each_lane([*lane.lines, *stores])
        if self.nest.lanes > 1:
            for w in waiting:
                self._store(w)

    def _wanted(self, result: Result, to: str) -> Result | None:
        """What is left to compute; nothing where words are copied as they are."""
        nest, out = self.nest, result.out
        some = self.ragged and nest.exact
        size = 0 if some else whole_words(nest, out, result.array.alignment)
        copied = _copied(nest, out, result.x)
        if size and copied is not None and self._packed(copied):
            self.line(f"{self.guard}qc::store<{size}>({result.pointer}, {to}, x{copied});")
            return None
        held = _fits(nest, out, result.x) and BITS[out.elem] < 16
        x = stored(result.x, *RANGES[out.elem]) if held and size else result.x
        assert nest.lanes > 1 or out.elem not in NIBBLES
        return replace(result, x=x, to=to, size=size, held=held)

    def _packed(self, number: int) -> bool:
        nest, array = self.nest, self.arrays[number]
        if self.ragged and array.outside:
            return False
        return bool(whole_words(nest, nest.views[number], array.alignment))

    def _store(self, w: Result) -> None:
        """Writes what is computed: under a guard, words that are packed before it."""
        if not (self.guard and w.size):
            self.line(f"{self.guard}qc::{self._writer(w)}")
            return
        shape, how = f"{tag(w.out.elem)}, {self.nest.lanes}", "held" if w.held else "cut"
        self.line(f"const auto {w.name('words')} = qc::packed_{how}<{shape}>({w.name('y')});")
        self.line(f"{self.guard}qc::store<{w.size}>({w.pointer}, {w.to}, {w.name('words')});")

    def _writer(self, w: Result) -> str:
        lanes, y = self.nest.lanes, w.name("y")
        shape = f"{tag(w.out.elem)}, {lanes}"
        if w.size:
            how = "held" if w.held else "cut"
            return f"store_{how}<{shape}, {w.size}>({w.pointer}, {w.to}, {y});"
        if w.out.elem in NIBBLES:
            count = "count" if self.ragged and self.nest.exact else lanes
            return f"scatter_pairs<{shape}>({w.pointer}, {w.to}, {y}, {count});"
        count = ", count" if self.ragged and self.nest.exact else ""
        return f"scatter<{shape}>({w.pointer}, {w.to}, {w.out.lane}, {y}{count});"


def loads(*roots: e.Expr | None) -> list[int]:
    """The views that the expressions read at their place, each once."""
    return list(dict.fromkeys(x.view for x in _inside(roots) if isinstance(x, e.Load)))


def lookups(*roots: e.Expr | None) -> list[int]:
    """The views that the expressions use as tables, each once."""
    return list(dict.fromkeys(x.view for x in _inside(roots) if isinstance(x, e.Lookup)))


def parameters(nest: Nest) -> str:
    """The kernel's parameters: `v0` …, `out`, `out1` …"""
    views = [f"const {TYPES[v.elem]}* __restrict__ v{i}" for i, v in enumerate(nest.views)]
    outs = (nest.out, *(a.out for a in nest.also))
    given = [f"{TYPES[o.elem]}* __restrict__ out{i or ''}" for i, o in enumerate(outs)]
    text = ", ".join((*views, *given))
    return text if len(text) <= LINE else "\n    " + ",\n    ".join((*views, *given))


def _inside(roots: Sequence[e.Expr | None]) -> Iterator[e.Expr]:
    """Every expression that occurs, each object once."""
    seen: dict[int, e.Expr] = {}
    waiting: list[object] = list(reversed(roots))
    while waiting:
        x = waiting.pop()
        if not isinstance(x, e.Expr) or id(x) in seen:
            continue
        seen[id(x)] = x
        yield x
        waiting += reversed([getattr(x, f.name) for f in fields(x)])


def _copied(nest: Nest, out: View, x: e.Expr) -> int | None:
    """The view whose bits are what is written."""
    if not isinstance(x, e.Load):
        return None
    view = nest.views[x.view]
    both = view.elem == out.elem or (
        BITS[view.elem] == BITS[out.elem] and "f32" not in (view.elem, out.elem)
    )
    return x.view if both and view.lane == 1 and out.lane == 1 and nest.lanes > 1 else None


def _fits(nest: Nest, out: View, x: e.Expr) -> bool:
    """What is written is proven to lie in its format's range."""
    if x.is_float or x.elem == "i64" or out.elem not in RANGES:
        return False
    lo, hi = RANGES[out.elem]
    if isinstance(x, e.Load) and nest.views[x.view].elem in RANGES:
        own = RANGES[nest.views[x.view].elem]
        return max(x.lo, own[0]) >= lo and min(x.hi, own[1]) <= hi
    return lo <= x.lo and x.hi <= hi


def _element(view: View, number: int, at: str) -> str:
    """One element as text."""
    if view.elem in NIBBLES:
        return f"qc::element<{tag(view.elem)}>(v{number}, {at or 0})"
    return f"v{number}[{at or 0}]"
