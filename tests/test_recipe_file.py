"""Recipes: read, built into passes, and refused with a cure."""

from pathlib import Path

import pytest

from qcompile.errors import UsageError
from qcompile.passes.correct_bias import CorrectBias
from qcompile.recipe_file import parse_recipe, read_recipe, recipe_names
from qcompile.recipe_passes import passes_of
from qcompile.stages import SIMPLIFY


def test_the_default_recipe_is_the_usual_passes():
    assert passes_of(read_recipe("default"), {}) == SIMPLIFY.passes


def test_passes_stand_in_the_order_of_the_file():
    recipe = parse_recipe("passes: [fuse-padding, canonicalize]")
    assert [one.name for one in passes_of(recipe, {})] == ["fuse-padding", "canonicalize"]


def test_options_of_the_command_line_may_be_set():
    assert parse_recipe("scheme: W4A8\nexclude: [head]").options == {
        "scheme": "W4A8",
        "exclude": ["head"],
    }


def test_what_the_compilation_knows_comes_from_the_context():
    recipe = parse_recipe("passes: [correct-bias]")
    (one,) = passes_of(recipe, {"samples": ((),), "threads": 3, "seed": 1})
    assert isinstance(one, CorrectBias)
    assert (one.samples, one.threads) == (((),), 3)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_comes_along_can_be_built(name: str):
    context = {"samples": (), "threads": 1}
    assert passes_of(read_recipe(name), context)


def test_a_file_is_named_in_what_is_wrong_with_it(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("passes: [fuse-paddin]")
    with pytest.raises(UsageError, match=r"mine.yaml: no pass 'fuse-paddin': did you mean fuse-pa"):
        read_recipe(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("passes: [", "not YAML"),
        ("- simplify", "give passes and options by name"),
        ("passes: simplify", "give a list"),
        ("passes: [3]", "3 is no pass"),
        ("passes: [simplify: {a: 1}]", "simplify has no options"),
        ("passes: [canonicalize: 3]", "3 are no options"),
        ("speed: 3", "no option speed: there are scheme"),
    ],
)
def test_what_is_no_recipe_is_refused(text: str, message: str):
    with pytest.raises(UsageError, match=message):
        parse_recipe(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("passes: [canonicalize: {depth: 1}]", "canonicalize has no option depth: it has none"),
        ("passes: [correct-bias: {threads: 3}]", "correct-bias has no option threads"),
        ("passes: [correct-bias]", "cannot stand in a recipe: it needs samples"),
    ],
)
def test_what_a_pass_does_not_know_is_refused(text: str, message: str):
    with pytest.raises(UsageError, match=message):
        passes_of(parse_recipe(text), {"threads": 1})


def test_a_name_that_is_neither_file_nor_recipe_is_answered_with_those_there_are():
    with pytest.raises(UsageError, match=r"--recipe defalt is neither a file .* one of default"):
        read_recipe("defalt")
