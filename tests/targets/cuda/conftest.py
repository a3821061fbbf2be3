"""The runtime's library and the fake driver, built once; each test finds them as they were."""

from collections.abc import Iterator

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
