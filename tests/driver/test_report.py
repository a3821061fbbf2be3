"""The report's drawings and its reading back."""

import pytest

from qcompile.errors import ArtifactError
from qcompile.report import chart, read_report


def edge(lo: float, hi: float) -> dict:
    return {"lo": lo, "hi": hi, "histogram": {"lo": -1.0, "hi": 3.0, "counts": [0, 5, 0, 0]}}


def test_the_chosen_range_is_marked_to_scale():
    drawn = chart(edge(-1.0, 2.0))
    assert (drawn["begin"], drawn["width"], drawn["zero"]) == (0.0, 180.0, 60.0)


def test_a_range_wider_than_what_was_seen_ends_at_the_border():
    assert chart(edge(-9.0, 9.0))["width"] == 240.0


def test_the_fullest_bar_has_full_height():
    assert chart(edge(0.0, 1.0))["path"] == "M0,40V40.0H60V4.0H120V40.0H180V40.0H240V40Z"


def test_a_folder_without_a_report_says_what_to_do(tmp_path):
    with pytest.raises(ArtifactError, match="compile again"):
        read_report(tmp_path)


def test_a_report_of_another_form_is_refused(tmp_path):
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(ArtifactError, match="not a report"):
        read_report(tmp_path)
