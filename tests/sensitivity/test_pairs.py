"""What is measured of two contractions is what the interpreter finds with both quantized."""

import numpy as np
import pytest

from qcompile.cache import Cache
from qcompile.ir.ops.quant import FakeQuant
from qcompile.ir.rewrite import rewrite
from qcompile.ir.widths import Widths
from qcompile.passes.correct_bias import CorrectBias
from qcompile.passes.weight_units import weight_unit
from qcompile.sensitivity.pairs import pair_damages
from tests.sensitivity.conftest import SITES, pictures, studied

OPTIONS = (Widths(2, 8), Widths(4, 8))
PAIRS = [("first", "each"), ("each", "skip"), ("skip", "last")]


def damage(study, chosen):
    """Of the graph with these contractions fake-quantized and all biases corrected."""
    sites = {site.name: site for site in study.sites}

    def change(node, _):
        if node.name not in chosen:
            return None
        site, widths = sites[node.name], chosen[node.name]
        spec = site.recipe.weight_of(widths.weight, site.axis)
        unit = weight_unit(site.weight, spec, site.bias, site.formats[8][1])
        x = FakeQuant(node.operands[0], *site.formats[widths.activation])
        w = FakeQuant(node.operands[1], spec.elem, unit)
        return node.with_operands((x, w, *node.operands[2:]))

    other = CorrectBias(study.samples[:16]).run(rewrite(study.graph, change))
    real = np.concatenate([study.graph.run(*s)[0] for s in study.samples[:16]]).astype(np.float64)
    found = np.concatenate([other.run(*s)[0] for s in study.samples[:16]])
    return np.square(found - real).sum() / np.square(real).sum()


@pytest.fixture(scope="module")
def found(small):
    return pair_damages(small, small.everywhere(OPTIONS), PAIRS)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize(("i", "j"), [(0, 0), (0, 1), (1, 1)])
def test_the_term_is_the_damage_of_both_less_those_of_each(small, found, pair, i, j):
    a, b = {pair[0]: OPTIONS[i]}, {pair[1]: OPTIONS[j]}
    together = damage(small, a | b)
    expected = together - damage(small, a) - damage(small, b)
    assert found[pair][i, j] == pytest.approx(expected, abs=2e-3 * together)


def test_pairs_are_found_again_in_the_cache(net, tmp_path, monkeypatch, found):
    study, cache = studied(net, pictures(20)), Cache(tmp_path)
    wanted = study.everywhere(OPTIONS)
    one = pair_damages(study, wanted, PAIRS[:2], cache=cache)
    said = []
    two = pair_damages(study, wanted, PAIRS, cache=cache, say=said.append)
    assert said == ["pairs of contractions: 3 of 3"]
    assert [two[p].tolist() for p in PAIRS] == [found[p].tolist() for p in PAIRS]
    assert [one[p].tolist() for p in PAIRS[:2]] == [found[p].tolist() for p in PAIRS[:2]]


def test_bits_do_not_depend_on_threads(net, found):
    study = studied(net, pictures(20), threads=3)
    again = pair_damages(study, study.everywhere(OPTIONS), PAIRS)
    assert [again[p].tolist() for p in PAIRS] == [found[p].tolist() for p in PAIRS]
    assert set(SITES) >= {name for pair in PAIRS for name in pair}
