"""Errors as vectors: their lengths are damages, their products what two damage together."""

import numpy as np
import pytest

from qcompile.cache import Cache
from qcompile.ir.widths import Widths
from qcompile.sensitivity import study as studies
from qcompile.sensitivity.estimate import estimator, sensitivities
from qcompile.sensitivity.pairs import pair_damages
from tests.helpers import read
from tests.sensitivity.conftest import pictures, studied

OPTIONS = (Widths(2, 8), Widths(4, 8))
PARALLEL = """
    def f(x: f32[1, 3, 8, 8]):
        w: f32[4, 3, 3, 3] = const(...)
        v: f32[4, 3, 1, 1] = const(...)
        left = conv(x, w, pads=(1, 1, 1, 1))
        right = conv(x, v)
        y = add(left, right)
        return y
    """


def table(study, name="output-error+pairs", cache=None):
    return sensitivities(study, study.everywhere(OPTIONS), by=estimator(name), cache=cache)


def test_each_damage_is_that_of_the_output_error(small):
    found, expected = table(small).damages, table(small, "output-error").damages
    assert found == pytest.approx(expected, rel=1e-6)


def test_where_errors_add_up_products_are_what_pairs_damage():
    study = studied(read(PARALLEL), pictures(16))
    found = table(study).together.damages()["left", "right"]
    measured = pair_damages(study, study.everywhere(OPTIONS), [("left", "right")])
    expected = measured["left", "right"].ravel()
    assert [found[a, b] for a in OPTIONS for b in OPTIONS] == pytest.approx(expected, rel=1e-3)


def test_the_damage_of_a_choice_is_that_of_its_options_and_pairs(small):
    found = table(small)
    chosen = {name: OPTIONS[i % 2] for i, name in enumerate(found.names)}
    pairs = found.together.damages()
    alone = sum(found.damages[item] for item in chosen.items())
    both = sum(of[chosen[a], chosen[b]] for (a, b), of in pairs.items())
    assert found.together.damage(chosen) == pytest.approx(alone + both)


def test_nothing_changes_when_vectors_come_from_the_cache(net, tmp_path):
    study, cache = studied(net, pictures(8)), Cache(tmp_path)
    fresh, again = (table(study, cache=cache) for _ in range(2))
    assert fresh.damages == again.damages
    np.testing.assert_array_equal(fresh.together.products, again.together.products)


def test_parts_of_the_samples_have_their_share(net, monkeypatch):
    study = studied(net, pictures(16))
    whole = table(study)
    monkeypatch.setattr(studies, "MEMORY", 1)
    assert len(list(study.parts())) == 16
    parts = table(study)
    for place, question in enumerate(parts.together.questions):
        assert parts.together.products[place, place] == pytest.approx(parts.damages[question])
    assert parts.together.questions == whole.together.questions


def test_other_estimators_know_nothing_of_pairs(small):
    assert table(small, "weight-error").together.damages() == {}
