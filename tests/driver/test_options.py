"""Options that make no sense do not construct."""

import pytest

from qcompile.calibrate.estimators import ESTIMATORS
from qcompile.errors import UsageError
from qcompile.options import METHODS, Options


def test_an_unknown_method_is_named_with_those_that_exist():
    with pytest.raises(UsageError, match="no method 'best': give one of auto, minmax"):
        Options("reference", method="best")


def test_no_thread_is_too_few():
    with pytest.raises(UsageError, match="0 threads"):
        Options("reference", threads=0)


def test_the_methods_are_the_estimators():
    assert set(METHODS) == set(ESTIMATORS)
