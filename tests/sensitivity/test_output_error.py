"""What is measured is what the interpreter finds when it runs the graph quantized at one place."""

import numpy as np
import pytest

from qcompile.ir.graph import Graph
from qcompile.ir.ops.quant import FakeQuant
from qcompile.ir.rewrite import rewrite
from qcompile.ir.widths import Widths
from qcompile.passes.correct_bias import CorrectBias
from qcompile.passes.weight_units import weight_unit
from qcompile.sensitivity.output_error import OutputError
from tests.sensitivity.conftest import SITES, pictures, studied

OPTIONS = (Widths(2, 8), Widths(4, 4), Widths(8, 8))


def quantized_alone(study, site, widths):
    """The graph with one contraction fake-quantized and its bias corrected."""
    spec = site.recipe.weight_of(widths.weight, site.axis)
    unit = weight_unit(site.weight, spec, site.bias, site.formats[8][1])

    def change(node, _):
        if node.name != site.name:
            return None
        x, w = node.operands[:2]
        marked = FakeQuant(w, spec.elem, unit)
        x = FakeQuant(x, *site.formats[widths.activation])
        return node.with_operands((x, marked, *node.operands[2:]))

    return CorrectBias(study.samples[:16]).run(rewrite(study.graph, change))


def damage(graph: Graph, other: Graph, samples):
    real = np.concatenate([graph.run(*sample)[0] for sample in samples]).astype(np.float64)
    found = np.concatenate([other.run(*sample)[0] for sample in samples])
    return np.square(found - real).sum() / np.square(real).sum()


@pytest.mark.parametrize("widths", OPTIONS, ids=str)
@pytest.mark.parametrize("name", SITES)
def test_the_damage_is_that_of_the_graph_quantized_there_alone(small, name, widths):
    site = next(site for site in small.sites if site.name == name)
    expected = damage(small.graph, quantized_alone(small, site, widths), small.samples)
    ((_, _, found),) = OutputError().measure(small, {name: (widths,)})
    assert found == pytest.approx(expected, rel=2e-3)


def test_all_that_is_asked_is_answered_in_graph_order(small):
    found = list(OutputError().measure(small, small.everywhere(OPTIONS)))
    assert [(name, widths) for name, widths, _ in found] == [(n, w) for n in SITES for w in OPTIONS]


def test_the_answer_does_not_depend_on_what_else_is_asked(small):
    together = {(n, w): d for n, w, d in OutputError().measure(small, small.everywhere(OPTIONS))}
    ((name, widths, alone),) = OutputError().measure(small, {"skip": (Widths(4, 4),)})
    assert alone == together[name, widths]


def test_bits_do_not_depend_on_threads(net):
    found = [
        list(OutputError().measure(s, s.everywhere(OPTIONS)))
        for s in (studied(net, pictures(20), threads=n) for n in (1, 3))
    ]
    assert found[0] == found[1]


def test_fewer_bits_cost_more(small):
    found = list(
        OutputError().measure(small, {"first": (Widths(8, 8), Widths(4, 8), Widths(2, 8))})
    )
    damages = [d for _, _, d in found]
    assert damages == sorted(damages)
    assert damages[0] > 0
