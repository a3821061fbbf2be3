"""All rewrites in their order: a tied GPT shows the rotation of its stream."""

from qcompile.analysis.axes import rotation_sites
from qcompile.passes.expose_sites import ExposeSites
from tests.analysis.axes.random_maps import difference
from tests.analysis.axes.transformers import gpt2

BEFORE = gpt2()
AFTER = ExposeSites().run(BEFORE)


def test_the_stream_shows_only_afterwards():
    assert "R1" not in {site.role for site in rotation_sites(BEFORE)}
    assert "R1" in {site.role for site in rotation_sites(AFTER)}


def test_it_computes_the_same():
    assert difference(BEFORE, AFTER) < 1e-12


def test_a_second_run_changes_nothing():
    assert ExposeSites().run(AFTER) is AFTER
