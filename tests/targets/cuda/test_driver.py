"""Which GPU counts: the emulator's driver plays devices of several capabilities."""

import ctypes
from pathlib import Path

import pytest

from qcompile.targets.cuda.driver import found_device
from qcompile.targets.cuda.emulator import emulator_library


@pytest.fixture(scope="module")
def driver(emulator_cache: Path) -> Path:
    return emulator_library({}, cache=emulator_cache)


def test_without_a_driver_there_is_no_device():
    assert not found_device(driver="libno-such-driver.so.1")


def test_a_library_that_is_no_driver_has_no_device():
    assert not found_device(driver="libc.so.6")


@pytest.mark.parametrize(
    ("has", "least", "good"),
    [((7, 5), (7, 5), True), ((9, 0), (7, 5), True), ((6, 1), (7, 5), False)],
)
def test_a_device_must_be_as_late_as_the_chip(driver, has, least, good):
    ctypes.CDLL(str(driver)).qcemu_set_capability(*has)
    assert found_device(least, driver=str(driver)) is good
