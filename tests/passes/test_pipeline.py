"""Orders that cannot work do not construct; broken promises are caught right after the pass."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from qcompile import passes
from qcompile.errors import InvariantViolated
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.pointwise import Abs, Exp, Relu, Sqrt
from qcompile.ir.rewrite import Site, rewrite
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.canonicalize import Canonicalize
from qcompile.passes.fold_batchnorm import FoldBatchNorm
from qcompile.passes.fold_constants import FoldConstants
from qcompile.passes.invariants import CANONICAL, FUSED, STATIC
from qcompile.passes.observe import Compare, Dump, Time, Verify, relative_difference
from qcompile.passes.pipeline import Pipeline
from qcompile.passes.recipe import Recipe
from qcompile.passes.specify import Specify
from tests.helpers import read

GRAPH = "def f(x: f32[2]):\n    a = relu(x)\n    y = exp(a)\n    return y"
NORM = """
    def f(x: f32[1, 2]):
        c: f32[2] = const([1.0, 2.0])
        y = batch_norm(x, c, c, c, c)
        return y
    """


@dataclass(frozen=True)
class Wrong(Pass):
    """relu → abs, which is another function."""

    name: ClassVar[str] = "wrong"
    gives = frozenset({FUSED})
    loud: bool = False

    def run(self, graph: Graph) -> Graph:
        return rewrite(graph, relu_to_abs)


@dataclass(frozen=True)
class Honest(Wrong):
    name: ClassVar[str] = "honest"
    keeps: ClassVar[Meaning] = Meaning.NOT


@dataclass(frozen=True)
class Forgets(Wrong):
    name: ClassVar[str] = "forgets"
    breaks = frozenset({CANONICAL})


@dataclass(frozen=True)
class Fails(Wrong):
    name: ClassVar[str] = "fails"

    def run(self, graph: Graph) -> Graph:
        raise KeyError("lost")


def relu_to_abs(node: Node, site: Site) -> Node | None:
    return Abs(node.x, name=node.name) if isinstance(node, Relu) else None


PROBE = (np.array([-1.0, 2.0], np.float32),)


def test_an_order_in_which_a_need_is_not_met_does_not_construct():
    with pytest.raises(InvariantViolated, match=r"specify requires fused, static, which nothing"):
        Pipeline((Canonicalize(), Specify()))


def test_what_a_pass_breaks_is_gone():
    with pytest.raises(InvariantViolated, match="fold-batchnorm requires canonical"):
        Pipeline((Canonicalize(), Forgets(), FoldBatchNorm()))


def test_a_given_invariant_meets_a_need():
    held = Pipeline((Canonicalize(), FoldBatchNorm(), Specify()), given=frozenset({STATIC})).gives
    assert {i.name for i in held} == {"static", "canonical", "fused", "specified"}


def test_passes_run_in_order():
    line = Pipeline((FoldConstants(), Canonicalize(), Wrong()))
    assert str(line) == "fold-constants -> canonicalize -> wrong"
    assert line.run(read(GRAPH)).named("a").op == "abs"


def test_a_failure_keeps_its_type_and_is_told_where_it_was():
    with pytest.raises(KeyError) as caught:
        Pipeline((Canonicalize(), Fails())).run(read(GRAPH))
    assert caught.value.__notes__ == ["in pass 2 (fails) of canonicalize -> fails"]


def test_verify_catches_a_promise_that_was_not_kept():
    with pytest.raises(InvariantViolated, match="after wrong: f is not fused: y is a batch_norm"):
        Pipeline((Wrong(),)).run(read(NORM), (Verify(),))


def test_compare_catches_a_changed_meaning():
    with pytest.raises(InvariantViolated, match=r"wrong promises .* output y differs by 0\.2"):
        Pipeline((Wrong(),)).run(read(GRAPH), (Compare(PROBE),))


def test_compare_takes_the_word_of_a_pass_that_changes_numbers():
    assert Pipeline((Honest(),)).run(read(GRAPH), (Compare(PROBE),)).named("a").op == "abs"


def test_dump_writes_only_what_changed(tmp_path: Path):
    Pipeline((FoldConstants(), Wrong(), Wrong())).run(read(GRAPH), (Dump(tmp_path / "steps"),))
    assert [p.name for p in (tmp_path / "steps").iterdir()] == ["02-wrong.qc"]
    assert "abs(x)" in (tmp_path / "steps" / "02-wrong.qc").read_text()


def test_time_counts_what_is_new():
    clock = Time()
    Pipeline((FoldConstants(), Wrong())).run(read(GRAPH), (clock,))
    assert [(r["name"], r["changed"]) for r in clock.rows] == [("fold-constants", 0), ("wrong", 2)]


def test_differences_are_relative_to_the_greatest_value():
    old, new = np.array([1.0, -4.0], "f4"), np.array([1.1, -4.0], "f4")
    assert relative_difference(old, new) == pytest.approx(0.025)
    assert relative_difference(old, old) == 0
    assert relative_difference(old, new[:1]) == np.inf
    assert relative_difference(np.array([np.nan]), np.array([np.nan])) == 0
    assert np.isnan(relative_difference(np.array([1.0]), np.array([np.nan])))


def test_equal_nan_and_infinities_do_not_hide_or_make_a_difference():
    old = np.array([np.nan, np.inf, 2.0])
    assert relative_difference(old, np.array([np.nan, np.inf, 2.5])) == 0.25
    assert relative_difference(old, np.array([np.nan, -np.inf, 2.0])) == np.inf


@dataclass(frozen=True)
class Breaks(Wrong):
    """exp → √ of a negative number, which is NaN."""

    name: ClassVar[str] = "breaks"

    def run(self, graph: Graph) -> Graph:
        return rewrite(graph, lambda n, _: Sqrt(graph.inputs[0]) if isinstance(n, Exp) else None)


def test_compare_does_not_let_nan_pass():
    with pytest.raises(InvariantViolated, match="differs by nan"):
        Pipeline((Breaks(),)).run(read(GRAPH), (Compare(PROBE),))


def test_a_pass_prints_as_it_is_written_on_the_command_line():
    assert str(Wrong()) == "wrong"
    assert str(Wrong(loud=True)) == "wrong{loud=True}"


@pytest.mark.parametrize("name", passes.PASSES)
def test_every_registered_pass_is_imported_by_its_name_and_has_its_test(name: str):
    cls = getattr(passes, passes.PASSES[name].partition(":")[2])
    assert cls.name == name
    assert Path(__file__).with_name(f"test_{name.replace('-', '_')}.py").is_file()


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Magic'"):
        _ = passes.Magic


@pytest.mark.parametrize(
    ("pattern", "hit"),
    [
        ("a", True),
        ("?", True),
        ("op:Relu", True),
        ("op:relu", True),
        ("b*", False),
        ("op:Abs", False),
    ],
)
def test_a_recipe_excludes_by_name_or_operation(pattern: str, hit: bool):
    assert Recipe(exclude=(pattern,)).excludes(read(GRAPH).named("a")) is hit
