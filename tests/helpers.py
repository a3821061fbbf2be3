"""What tests of passes share: graphs from text, seeded data, and the check of a rewrite.

Texts may say `const(...)`: in a graph to read, seeded numbers of the annotated type; in an expected
text, any value.
"""

import re
from collections.abc import Mapping
from textwrap import dedent
from typing import Any, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.blob import Blob, blob
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const, const
from qcompile.ir.parse import NO_BLOBS, parse, parse_type
from qcompile.ir.rewrite import Rule, until_same
from qcompile.ir.text import dump
from qcompile.ir.types import Array, Scalar, TensorType
from qcompile.ir.unit import Affine

_SEEDED = re.compile(r"^(\s*)(\w+): (.*) = const\(\.\.\.", re.MULTILINE)
_CONTENTS = re.compile(r" = const\((?:\[.*\]|blob\(\"\w+\"\)|[^,)]*)")


class Pass(Protocol):
    """What has a `run`, as every pass has."""

    def run(self, graph: Graph) -> Graph: ...


def read(text: str, blobs: Mapping[str, Blob] = NO_BLOBS) -> Graph:
    """The graph of an indented text, `const(...)` filled with seeded numbers."""
    found = dict(blobs)

    def fill(match: re.Match[str]) -> str:
        indent, name, annotation = match.groups()
        found[name] = blob(seeded_array(parse_type(annotation), seed=crc32(name.encode())))
        return f'{indent}{name}: {annotation} = const(blob("{name}")'

    return parse(_SEEDED.sub(fill, dedent(text).strip()), found)


def seeded_array(kind: TensorType, *, seed: int = 0) -> Array:
    """Normal reals, or integers that fill the element format's range."""
    rng = np.random.default_rng(seed)
    shape, elem = static(kind.shape), kind.elem
    if elem.is_float:
        return rng.standard_normal(shape).astype(elem.storage)
    low, high = (0, 1) if elem.name == "bool" else (max(elem.lo, -1000), min(elem.hi, 1000))
    return rng.integers(low, high, shape, endpoint=True).astype(elem.storage)


def seeded_inputs(graph: Graph, *, seed: int = 0) -> tuple[Array, ...]:
    """One value for each input."""
    return tuple(seeded_array(x.type, seed=seed + i) for i, x in enumerate(graph.inputs))


def reals(*shape: int, seed: int = 0) -> Const:
    """A constant of seeded normal numbers."""
    return const(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def integers(*shape: int, elem: Scalar, unit: Affine | None = None, seed: int = 0) -> Const:
    """A constant of seeded integers over the whole element range, at most ±1000."""
    return const(seeded_array(TensorType(shape, elem), seed=seed), elem=elem, unit=unit)


def value(node: Node) -> NDArray[Any]:
    """What a node over constants gives."""
    return Graph("value", (), (("y", node),)).run()[0]


def check_rewrite(
    before: str | Graph,
    change: Pass | Rule,
    after: str,
    *,
    within: float = 1e-5,
    blobs: Mapping[str, Blob] = NO_BLOBS,
) -> Graph:
    """`change` turns `before` into `after`, means the same and has nothing to add to its result.

    Float outputs may differ by `within`, relative to the greatest value; 0 asks for the same bits.
    Returns the graph after.
    """
    source = read(before, blobs) if isinstance(before, str) else before
    result = apply(change, source)
    expected = dedent(after).strip()
    assert _mask(dump(result).strip(), expected) == expected
    assert_same_meaning(source, result, within=within)
    assert apply(change, result) is result, "a second run changes something"
    return result


def check_unchanged(text: str | Graph, change: Pass | Rule) -> None:
    """`change` does not fire: the result is the same object."""
    graph = read(text) if isinstance(text, str) else text
    assert apply(change, graph) is graph, dump(apply(change, graph))


def apply(change: Pass | Rule, graph: Graph) -> Graph:
    """Runs a pass, or a rule until it comes to rest."""
    run: Any = getattr(change, "run", None)
    return until_same(graph, change) if run is None else run(graph)  # type: ignore[arg-type]


def assert_same_meaning(a: Graph, b: Graph, *, within: float = 1e-5, seed: int = 0) -> None:
    """Both graphs give the same on seeded data: integers equal, reals within `within`."""
    assert [name for name, _ in a.outputs] == [name for name, _ in b.outputs]
    inputs = seeded_inputs(a, seed=seed)
    for (name, _), x, y in zip(a.outputs, a.run(*inputs), b.run(*inputs), strict=True):
        assert_close(x, y, within=within, what=name)


def assert_close(x: NDArray[Any], y: NDArray[Any], *, within: float, what: str = "") -> None:
    """Same dtype and shape; same integers; reals within `within` of the greatest value."""
    assert (x.dtype, x.shape) == (y.dtype, y.shape), what
    if within == 0 or x.dtype.kind in "iub":
        np.testing.assert_array_equal(x, y, err_msg=what)
        return
    scale = float(np.abs(x).max(initial=1e-30))
    np.testing.assert_allclose(x, y, rtol=0, atol=within * scale, err_msg=what)


def _mask(text: str, expected: str) -> str:
    """The text, with `const(...)` on the lines where the expected text says so."""
    lines, wanted = text.split("\n"), expected.split("\n")
    if len(lines) != len(wanted):
        return text
    return "\n".join(
        _CONTENTS.sub(" = const(...", line, count=1) if "= const(..." in want else line
        for line, want in zip(lines, wanted, strict=True)
    )
