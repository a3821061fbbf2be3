"""The runtime's library and the fake driver, built once; each test finds them as they were."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.targets.cuda.small_model import Fake, Place


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def place(built: Place) -> Iterator[Place]:
    built.fake.c.fake_reset()
    yield built
    built.fake.c.fake_reset()


@pytest.fixture
def fake(place: Place) -> Fake:
    return place.fake


@pytest.fixture(scope="session")
def emulator_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Workers share it, and so do runs: its files are named by their content."""
    return tmp_path_factory.getbasetemp().parent / "emulator"
