"""Properties have no deadline, since the machine may be busy, and draw the same cases each run."""

import pytest
from hypothesis import settings

from tests.golden import Golden

settings.register_profile("patient", deadline=None, derandomize=True)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(bool(request.config.getoption("--update-golden")))
