"""C libraries keep off standard output."""

import ctypes
import os

import pytest

from qcompile.passes.assignment.silence import silenced


def test_what_c_prints_is_dropped_and_the_rest_stays(capfd: pytest.CaptureFixture[str]):
    libc = ctypes.CDLL(None)
    libc.puts(b"before")
    with silenced():
        libc.puts(b"within")
        os.write(1, b"directly\n")
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "before\nafter\n"


def test_standard_output_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(ValueError, match="mistake"), silenced():
        raise ValueError("mistake")
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"
