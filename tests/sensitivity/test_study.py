"""A study ends where outputs are judged, and knows its sites and its digests."""

import pytest

from qcompile.errors import CalibrationError, UsageError
from qcompile.ir.ops.quant import Observe
from tests.helpers import read
from tests.sensitivity.conftest import SITES, pictures, studied


def test_sites_stand_in_graph_order(small):
    assert tuple(site.name for site in small.sites) == SITES


def test_outputs_are_judged_before_the_softmax(small):
    assert [(name, node.name) for name, node in small.graph.outputs] == [("y", "last")]


def test_no_marks_are_left(small):
    assert not any(isinstance(node, Observe) for node in small.graph.nodes)


def test_a_site_knows_its_input_in_both_widths(small):
    first = small.sites[0]
    assert {bits: form[0].name for bits, form in first.formats.items()} == {4: "u4", 8: "u8"}
    assert first.formats[4][1].scale[0] > first.formats[8][1].scale[0]


def test_digests_tell_samples_and_graphs_apart(net, small):
    other = studied(net, pictures(3))
    assert other.graph_digest() == small.graph_digest()
    assert other.samples_digest() != small.samples_digest()


def test_without_samples_there_is_nothing_to_measure(net):
    with pytest.raises(CalibrationError, match="no"):
        studied(net, [])


def test_an_output_of_classes_is_judged_before_them():
    graph = read(
        """
        def f(x: f32[1, 3, 8, 8]):
            w: f32[4, 3, 8, 8] = const(...)
            y = conv(x, w)
            c = arg_max(y, axis=1)
            return c
        """
    )
    assert [node.name for node in studied(graph, pictures(2)).graph.results] == ["y"]


def test_a_graph_without_reals_at_its_end_is_refused():
    graph = read(
        """
        def f(x: f32[1, 3, 8, 8]):
            c: i64[4] = shape_of(x)
            return c
        """
    )
    with pytest.raises(UsageError, match="no output of reals"):
        studied(graph, pictures(2))
