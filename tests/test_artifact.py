"""Opening artifacts: of this format, of the one before, of none."""

import json
from pathlib import Path

import pytest

from qcompile.artifact import FORMAT, open_artifact, seal
from qcompile.errors import ArtifactError

FACTS = {"target": "reference", "inputs": [], "outputs": []}


def sealed(folder: Path, number: int) -> Path:
    """An artifact without files that says it has this format."""
    seal(folder, FACTS)
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": number}))
    return folder


@pytest.mark.parametrize("number", [1, FORMAT])
def test_this_format_and_the_one_before_are_read(tmp_path: Path, number: int):
    assert open_artifact(sealed(tmp_path, number)).manifest["format"] == number


def test_a_later_format_is_refused_in_words(tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"has format 3, this version reads 1 and 2: compile"):
        open_artifact(sealed(tmp_path, FORMAT + 1))
