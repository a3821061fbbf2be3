"""The compiler that is named, or else one for the processor, or else a sentence."""

import os
import shutil
from pathlib import Path

import pytest

from qcompile.errors import ToolchainError
from qcompile.targets import compilers
from qcompile.targets.compilers import c_compiler, call, found_compiler

HERE = f"{os.uname().machine}-linux-gnu"


def test_a_named_one_is_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QCOMPILE_CC", "tool cc -flag")
    assert c_compiler("vax-linux-gnu") == ["tool", "cc", "-flag"]


def test_here_it_is_one_on_the_path(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("QCOMPILE_CC", raising=False)
    assert shutil.which(c_compiler(HERE)[0]) is not None


def test_for_another_processor_it_has_that_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", "/bin/{}".format)
    assert found_compiler("vax-linux-gnu") == ["vax-linux-gnu-gcc"]


def test_without_one_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("QCOMPILE_CC", raising=False)
    monkeypatch.setattr(compilers, "find_spec", dict[str, None]().get)
    with pytest.raises(ToolchainError, match="install vax-linux-gnu-gcc"):
        c_compiler("vax-linux-gnu")
    assert found_compiler("vax-linux-gnu") is None


def test_a_failure_carries_command_and_words(tmp_path: Path):
    with pytest.raises(ToolchainError, match=r"^ls no-such-file: ls: .*no-such-file"):
        call(["ls", "no-such-file"], tmp_path)
