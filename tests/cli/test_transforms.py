"""What a recipe did is told on the page, in the summary and in JSON; so is what it left alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.odd import write_odd_model

ODD = [("Hardmax", ""), ("LpNormalization", ""), ("Trilu", "com.microsoft")]
BLIND = "passes: [simplify, expose-sites, rotate: {policy: hadamard}, simplify]"
Told = dict[str, Any]


@pytest.fixture
def odd(tmp_path: Path) -> tuple[Path, Path]:
    """Hardmax in the stream."""
    return write_odd_model(tmp_path, "Hardmax")


def summary(qcompile: Any, odd: tuple[Path, Path], *more: object) -> Told:
    model, calib = odd
    arguments = "--target", "reference", "--calib", calib, "-o", "out", "--json", *more
    return json.loads(qcompile(model, *arguments).out)


def explained(qcompile: Any, model: Path) -> dict[str, list[str]]:
    """What explain says blocks each site."""
    found = json.loads(qcompile("explain", model, "--pass", "rotate", "--json").out)["sites"]
    return {site["site"]: site["blocked_by"] for site in found if site["kind"] == "refused"}


@pytest.mark.parametrize(("operator", "domain"), ODD)
def test_a_stream_with_an_unknown_operator_compiles_and_says_what_blocks_it(
    qcompile: Any, tmp_path: Path, operator: str, domain: str
):
    odd = write_odd_model(tmp_path, operator, domain)
    sites = summary(qcompile, odd, "--recipe", "rotate")["transforms"]["sites"]
    told = {one["site"]: one["reason"] for one in sites if one["by"] == "rotate"}
    known_as = f"{domain}::{operator}".removeprefix("::")
    why = f"refused: x2: nothing is known of {known_as}"
    assert (told["x0"], told["x2"]) == (why, why)


def test_explain_says_it_in_the_same_words(qcompile: Any, odd: tuple[Path, Path]):
    sites = summary(qcompile, odd, "--recipe", "rotate")["transforms"]["sites"]
    told = {one["site"]: one["reason"] for one in sites if one["reason"].startswith("refused")}
    blocked = explained(qcompile, odd[0])
    assert told == {name: "refused: " + "; ".join(why) for name, why in blocked.items()}


def test_the_rest_of_it_is_rotated_all_the_same(qcompile: Any, odd: tuple[Path, Path]):
    sites = summary(qcompile, odd, "--recipe", "rotate")["transforms"]["sites"]
    (inner,) = [one for one in sites if one["site"] == "inner"]
    assert (inner["choice"], inner["reason"]) == ("hadamard", "Sylvester of 64")
    assert inner["after"] < inner["before"] / 2


def test_the_page_tells_choices_gains_the_bound_and_what_blocks(
    qcompile: Any, odd: tuple[Path, Path]
):
    found = summary(qcompile, odd, "--recipe", "rotate")["transforms"]
    page = (Path("out") / "report.html").read_text()
    assert f"differ from the model's by {found['bound']:.1e} of their norm" in page
    assert "refused: x2: nothing is known of Hardmax" in page
    assert "Sylvester of 64" in page


def test_the_table_for_people_tells_it_too(qcompile: Any, odd: tuple[Path, Path]):
    model, calib = odd
    told = qcompile(
        model, "--target", "reference", "--calib", calib, "-o", "out", "--recipe", "rotate"
    ).out
    assert "2 changes, 3 sites left as they are; outputs differ from the model's by " in told
    assert "refused: x2: nothing is known of Hardmax" in told


def test_without_a_recipe_nothing_is_told(qcompile: Any, odd: tuple[Path, Path]):
    assert summary(qcompile, odd)["transforms"] == {"bound": 0.0, "sites": []}


def test_what_is_taken_back_is_told(
    qcompile: Any, odd: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("qcompile.transformed.LIMIT", 0.0)
    found = summary(qcompile, odd, "--recipe", "rotate")["transforms"]
    reasons = [one["reason"] for one in found["sites"] if not one["site"]]
    assert reasons[0].startswith("taken back: outputs moved by ")
    assert reasons[0] in (Path("out") / "report.html").read_text()


def test_a_fixed_policy_rotates_without_samples(
    qcompile: Any, odd: tuple[Path, Path], tmp_path: Path
):
    recipe = tmp_path / "blind.yaml"
    recipe.write_text(BLIND)
    ended = qcompile(
        odd[0], "--target", "reference", "-o", "out", "--json", "--recipe", str(recipe)
    )
    (inner,) = [o for o in json.loads(ended.out)["transforms"]["sites"] if o["site"] == "inner"]
    assert inner["reason"] == "Sylvester of 64; no samples: judged by weights alone"


def test_what_looks_at_activations_is_refused_without_samples(
    qcompile: Any, odd: tuple[Path, Path]
):
    ended = qcompile(odd[0], "--target", "reference", "-o", "out", "--recipe", "rotate")
    assert ended.code == 2
    assert "activations are (rotate-online): give samples with --calib" in ended.err


def test_explain_names_the_matrix_that_would_act(qcompile: Any, odd: tuple[Path, Path]):
    found = json.loads(qcompile("explain", odd[0], "--pass", "rotate", "--json").out)["sites"]
    matrices = {site["site"]: site["matrix"] for site in found}
    assert (matrices["inner"], matrices["x0"]) == ("Sylvester of 64", "")
