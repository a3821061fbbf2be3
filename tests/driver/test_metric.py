"""What a drop is: names, functions, and which one a model gets."""

import numpy as np
import pytest

from qcompile.errors import UsageError
from qcompile.metric import Outputs, error, top1, wanted_metric
from tests.helpers import read


def graph(shape: str, last: str = "relu(x)"):
    return read(f"""
        def g(x: f32[{shape}]):
            y = {last}
            return y
        """)


def outputs(*rows: list[float], name: str = "y") -> list[dict[str, np.ndarray]]:
    return [{name: np.array(row, np.float32)} for row in rows]


def test_the_error_is_relative_over_all_samples():
    real, found = outputs([3.0, 4.0], [0.0, 0.0]), outputs([3.0, 4.0], [0.3, 0.4])
    assert error(real, found) == pytest.approx(0.1)


def test_the_error_of_several_outputs_is_the_root_of_their_mean_damage():
    real = [{"a": np.array([1.0]), "b": np.array([10.0])}]
    found = [{"a": np.array([1.2]), "b": np.array([10.0])}]
    assert error(real, found) == pytest.approx((0.04 / 2) ** 0.5)


def test_equal_outputs_lose_nothing():
    real = outputs([1.0, 2.0], [0.0, 0.0])
    assert (error(real, real), top1(real, real)) == (0.0, 0.0)


def test_top1_counts_samples_whose_greatest_element_is_another():
    real = outputs([1.0, 2.0], [2.0, 1.0], [5.0, 1.0], [0.0, 1.0])
    found = outputs([3.0, 2.0], [2.0, 1.9], [5.0, 1.0], [0.0, 9.0])
    assert top1(real, found) == 0.25


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ("1, 10", "top1"),
        ("10", "top1"),
        ("1, 1", "error"),
        ("2, 10", "error"),
        ("1, 3, 4", "error"),
    ],
)
def test_one_row_of_scores_is_judged_by_the_greatest(shape, name):
    assert wanted_metric("auto", graph(shape)).name == name


def test_scores_are_judged_before_a_softmax():
    assert wanted_metric("auto", graph("1, 10", "softmax(x, axis=1)")).judged


def test_a_function_takes_the_outputs_as_they_are():
    metric = wanted_metric(lambda real, found: np.float32(0.5), graph("1, 10"))
    assert (metric.judged, metric.drop([], [])) == (False, 0.5)


def test_a_named_function_is_imported():
    assert wanted_metric("tests.driver.test_metric:error", graph("1, 10")).measure is error


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("nowhere:mine", "cannot import --metric nowhere:mine"),
        ("tests.driver.test_metric:nothing", "cannot import"),
        ("tests.driver.test_metric:__doc__", "is no function"),
    ],
)
def test_a_function_that_is_none_is_refused(asked, said):
    with pytest.raises(UsageError, match=said):
        wanted_metric(asked, graph("1, 10"))


@pytest.mark.parametrize("value", [float("nan"), "high", None])
def test_what_is_no_number_is_refused(value):
    def judged(real: Outputs, found: Outputs) -> object:
        return value

    metric = wanted_metric(judged, graph("1, 10"))
    with pytest.raises(UsageError, match="return a finite number"):
        metric.drop([], [])
