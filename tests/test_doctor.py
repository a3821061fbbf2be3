"""doctor: every piece has a purpose, and what is missing has a remedy."""

import pytest

from qcompile import doctor as module
from qcompile.doctor import doctor, versions


def pieces():
    return {piece["name"]: piece for piece in doctor()["pieces"]}


def nowhere(_name):
    return ""


def needed_only(name):
    return "1" if name in module.PACKAGES else ""


@pytest.mark.parametrize(
    "name",
    [
        "nvidia-cuda-nvrtc-cu12",
        "nvidia-cuda-nvdisasm",
        "nvidia-nvjitlink-cu12",
        "C compiler",
        "C++ compiler",
        "ARM C compiler",
        "GPU driver",
    ],
)
def test_each_piece_of_the_gpu_targets_says_what_it_gives(name):
    assert pieces()[name]["gives"] != ""


def test_an_installed_package_shows_its_version():
    assert pieces()["numpy"]["found"] == versions()["numpy"]


def test_a_compiler_shows_its_path_and_first_line(tmp_path, monkeypatch):
    program = tmp_path / "g++"
    program.write_text("#!/bin/sh\necho my compiler 1.2\necho licence\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pieces()["C++ compiler"]["found"] == f"{program}: my compiler 1.2"


def test_without_compilers_there_is_a_remedy_for_each_language(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "_version", nowhere)
    remarks = " ".join(doctor()["remarks"])
    assert "apt-get install gcc" in remarks
    assert "apt-get install g++" in remarks
    assert "pip install numpy" in remarks


def test_what_is_optional_is_not_asked_for(monkeypatch):
    monkeypatch.setattr(module, "_version", needed_only)
    assert not any("pip install nvidia" in remark for remark in doctor()["remarks"])
