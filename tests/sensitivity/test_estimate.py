"""The table: every estimator fills it, a run that was ended goes on, damage is measured anew."""

import itertools

import pytest

from qcompile.cache import Cache
from qcompile.errors import UsageError
from qcompile.ir.widths import Widths
from qcompile.sensitivity import study as studies
from qcompile.sensitivity.estimate import ESTIMATORS, estimator, sensitivities
from tests.sensitivity.conftest import SITES, pictures, studied

OPTIONS = (Widths(2, 8), Widths(4, 8), Widths(4, 4), Widths(8, 8))
DEFAULT = estimator("output-error")


class Counted:
    """The default estimator, its answers counted; it may end in the middle, as if killed."""

    def __init__(self, patience=None):
        self.name, self.facts = DEFAULT.name, DEFAULT.facts
        self.patience, self.answers = patience, 0

    def measure(self, study, wanted):
        for answer in itertools.islice(DEFAULT.measure(study, wanted), self.patience):
            self.answers += 1
            yield answer
        if self.patience is not None:
            raise KeyboardInterrupt


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "records")


@pytest.fixture(scope="module")
def whole(small):
    return sensitivities(small, small.everywhere(OPTIONS), by=DEFAULT)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_says_that_two_bits_cost_most(small, name):
    table = sensitivities(small, small.everywhere(OPTIONS), by=estimator(name))
    found = [table.options(site) for site in SITES]
    assert table.names == SITES
    assert all(d[Widths(2, 8)] > d[Widths(4, 8)] > d[Widths(8, 8)] > 0 for d in found)
    assert all(d[Widths(4, 4)] > d[Widths(4, 8)] for d in found)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_same_bits_for_any_number_of_threads(net, name):
    one, three = (studied(net, pictures(20), threads=n) for n in (1, 3))
    tables = [sensitivities(s, s.everywhere(OPTIONS), by=estimator(name)) for s in (one, three)]
    assert tables[0].digest == tables[1].digest


@pytest.mark.parametrize("name", ["loss-coefficient", "hessian-trace", "hessian-diagonal"])
@pytest.mark.parametrize("site", ["first", "each", "last"])
def test_estimators_are_near_what_is_measured_where_errors_are_small(small, whole, name, site):
    table = sensitivities(small, small.everywhere((Widths(8, 8),)), by=estimator(name))
    key = (site, Widths(8, 8))
    assert whole.damages[key] / 4 < table.damages[key] < 4 * whole.damages[key]


@pytest.mark.parametrize("answers", [0, 1, 5, 15])
def test_a_run_that_was_killed_goes_on_to_the_same_table(small, whole, cache, answers):
    with pytest.raises(KeyboardInterrupt):
        sensitivities(small, small.everywhere(OPTIONS), by=Counted(answers), cache=cache)
    rest = Counted()
    table = sensitivities(small, small.everywhere(OPTIONS), by=rest, cache=cache)
    assert table.digest == whole.digest
    assert rest.answers == len(SITES) * len(OPTIONS) - answers


def test_damaged_and_foreign_records_are_measured_again(small, whole, cache):
    sensitivities(small, small.everywhere(OPTIONS), by=DEFAULT, cache=cache)
    first, second, third, *_ = sorted(cache.folder.glob("*/*"))
    first.write_bytes(b"")
    second.write_bytes(second.read_bytes()[:-1])
    cache.put(third.parent.name + third.name, b'{"no": "damage"}')
    again = Counted()
    table = sensitivities(small, small.everywhere(OPTIONS), by=again, cache=cache)
    assert (table.digest, again.answers) == (whole.digest, 3)


def test_other_samples_have_other_records(net, small, cache):
    sensitivities(small, {"skip": OPTIONS}, by=DEFAULT, cache=cache)
    other, again = studied(net, pictures(12)), Counted()
    sensitivities(other, {"skip": OPTIONS}, by=again, cache=cache)
    assert again.answers == len(OPTIONS)


def test_samples_that_do_not_fit_together_are_measured_in_parts(small, whole, monkeypatch):
    monkeypatch.setattr(studies, "MEMORY", 1 << 15)
    assert len(list(small.parts())) > 1
    table = sensitivities(small, {"skip": (Widths(4, 8),)}, by=DEFAULT)
    key = ("skip", Widths(4, 8))
    assert table.damages[key] == pytest.approx(whole.damages[key], rel=0.5)


def test_progress_is_told(small):
    said = []
    sensitivities(small, {"skip": OPTIONS[:2]}, by=DEFAULT, say=said.append)
    assert said[-1] == "sensitivities by output-error: 2 of 2"


def test_a_contraction_that_is_none_is_named(small):
    with pytest.raises(UsageError, match="is named sum"):
        sensitivities(small, {"sum": OPTIONS}, by=DEFAULT)


def test_an_unknown_estimator_is_answered_with_the_known_ones():
    with pytest.raises(UsageError, match="give one of output-error, "):
        estimator("guess")
