"""doctor: what is installed, what this machine can do, what each missing piece would give."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from qcompile.gpu import gpu

PACKAGES = {
    "numpy": "everything",
    "onnx": "reading and writing ONNX files",
    "onnxruntime": "onnx-* targets, operators the compiler does not know, bench",
    "torch": "reading .pt2 archives and package.module:callable",
    "apache-tvm": "targets x86-int8 and arm64-int8",
    "nvidia-cuda-nvrtc-cu12": "kernels of GPU targets, compiled without a GPU",
    "scipy": "choosing bits under a budget",
    "jinja2": "the HTML report",
    "rich": "tables and progress",
    "threadpoolctl": "results that do not depend on the number of threads",
}
OPTIONAL = {
    "ziglang": "a C and C++ compiler where the system has none",
    "nvidia-cuda-nvdisasm": "the machine code of GPU kernels, to count its instructions",
    "nvidia-nvjitlink-cu12": "a check that a T4's PTX assembles for newer GPUs",
}
C_COMPILERS = ("cc", "gcc", "clang")
CPP_COMPILERS = ("g++", "c++", "clang++")
ARM_COMPILERS = ("aarch64-linux-gnu-gcc",)
FEATURES = {
    "avx2": "8-bit kernels",
    "avx512f": "wider 8-bit kernels",
    "avx512_vnni": "int8 dot products of four in one instruction",
    "avx_vnni": "the same without AVX-512",
    "amx_int8": "int8 tiles",
    "asimddp": "int8 dot products on ARM",
}


def versions() -> dict[str, str]:
    """qcompile and its packages, without importing any."""
    return {name: _version(name) or "missing" for name in ("qcompile", *PACKAGES)}


def doctor() -> dict[str, Any]:
    """The machine, the pieces with what each is for, and remarks on what to do."""
    features = cpu_features()
    pieces = [
        *(_piece(n, _version(n), what) for n, what in PACKAGES.items()),
        *(_piece(n, _version(n), f"{what} (optional)") for n, what in OPTIONAL.items()),
        _piece("C compiler", compiler(C_COMPILERS), "targets x86-int8 and arm64-int8, the library "
               "of GPU artifacts"),
        _piece("C++ compiler", compiler(CPP_COMPILERS), "running and verifying GPU artifacts "
               "without a GPU"),
        _piece("ARM C compiler", compiler(ARM_COMPILERS), "targets arm64-int8 and orin, built on "
               "another processor (optional)"),
        _piece("GPU driver", gpu(), "running GPU artifacts on the GPU (optional)"),
    ]  # fmt: skip
    return {
        "machine": {
            "qcompile": _version("qcompile") or "not installed",
            "python": sys.version.split()[0],
            "system": platform.platform(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "cpu features": ", ".join(f for f in FEATURES if f in features) or "none of use",
            "memory": _memory(),
            "disk free here": f"{shutil.disk_usage(Path.cwd()).free / 1e9:.1f} GB",
        },
        "pieces": pieces,
        "remarks": _remarks(pieces, features),
    }


def _piece(name: str, found: str, gives: str) -> dict[str, str]:
    return {"name": name, "found": found, "gives": gives}


def cpu_features() -> frozenset[str]:
    """The processor's instruction sets by the kernel's names; none where it does not tell."""
    for line in _cpuinfo():
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def processor() -> str:
    """The processor's name."""
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def compiler(names: tuple[str, ...]) -> str:
    """The first line that the first of these compilers says of itself, or nothing."""
    for name in names:
        path = shutil.which(name)
        if path is None:
            continue
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if said.returncode == 0 and said.stdout:
            return f"{path}: {said.stdout.splitlines()[0]}"
    return ""


def _remarks(pieces: list[dict[str, str]], features: frozenset[str]) -> list[str]:
    packages = [p["name"] for p in pieces if not p["found"] and p["name"] in PACKAGES]
    found = [f"pip install {' '.join(packages)} for what is missing"] if packages else []
    absent = {p["name"] for p in pieces if not p["found"]}
    if {"C compiler", "ziglang"} <= absent:
        found.append("install gcc or clang to build kernels (apt-get install gcc)")
    if {"C++ compiler", "ziglang"} <= absent:
        found.append(
            "install g++ to run GPU artifacts without a GPU (apt-get install g++, or pip install "
            "ziglang)"
        )
    if platform.machine() == "x86_64" and not {"avx512_vnni", "avx_vnni"} & features:
        found.append("this processor has no VNNI: 8-bit kernels run, but with less speed-up")
    return found or ["nothing is missing for the targets of today"]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.1f} GB"
    except (ValueError, OSError):
        return "unknown"


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
