"""The shape of the code: imports point downward, files are small, public things say their law."""

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("qcompile", "passes", "targets", "models")
FILE_LINES, FUNCTION_LINES = 400, 60

LAYERS = [
    {"errors"},
    {"numerics", "cache"},
    {"ir"},
    {"calibrate", "analysis", "execute", "frontends", "program", "models"},
    {"passes"},
    {"sensitivity"},
    {"targets"},
]
RANKS = {package: rank for rank, packages in enumerate(LAYERS) for package in packages}
TOP = len(LAYERS)  # what stands in qcompile/ itself: artifact, check, driver, cli

HEAVY = {
    "onnx": ("frontends.onnx", "execute", "targets.onnx", "models"),
    "onnxruntime": ("frontends.onnx", "execute", "targets.onnx", "models"),
    "onnx_ir": ("frontends.onnx", "models"),
    "onnxscript": ("frontends.onnx", "targets.onnx", "models"),
    "torch": ("frontends.torch", "frontends.aten", "models", "sensitivity"),
    "tvm": ("targets.tvm",),
    "matplotlib": ("pareto_plot",),
}


def files() -> list[Path]:
    folders = [ROOT / package for package in PACKAGES]
    return sorted(
        path
        for folder in folders
        for path in folder.rglob("*.py")
        if not any(parent.is_symlink() for parent in path.parents)
    )


def module(path: Path) -> str:
    """`ir.text` for qcompile/ir/text.py, `passes.base` for passes/base.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "qcompile" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str() as source, names=names):
                yield from (f"{source}.{alias.name}" for alias in names)
            case _:
                pass


def rank(name: str) -> int:
    return RANKS.get(name.split(".")[0], TOP)


def upward(path: Path) -> list[str]:
    own = [name.removeprefix("qcompile.") for name in imports(path) if name.startswith("qcompile.")]
    return [name for name in own if rank(name) > rank(module(path))]


def forbidden(path: Path) -> list[str]:
    here = module(path)
    heavy = [name for name in imports(path) if name.split(".")[0] in HEAVY]
    return [name for name in heavy if not here.startswith(HEAVY[name.split(".")[0]])]


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)]


def too_long(path: Path) -> list[str]:
    found = [(f.name, (f.end_lineno or f.lineno) - f.lineno + 1) for f in functions(path)]
    lines = len(path.read_text().splitlines())
    long = [f"{name}: {length} lines" for name, length in found if length > FUNCTION_LINES]
    return long + ([f"{lines} lines"] if lines > FILE_LINES else [])


def undocumented(path: Path) -> list[str]:
    public = [
        node
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    silent = [node.name for node in public if ast.get_docstring(node) is None]
    return silent + ([] if ast.get_docstring(tree(path)) else ["the module"])


FILES = pytest.mark.parametrize("path", files(), ids=module)


@FILES
def test_imports_point_downward(path: Path):
    assert upward(path) == []


@FILES
def test_heavy_packages_stay_where_they_are_needed(path: Path):
    assert forbidden(path) == []


@FILES
def test_files_and_functions_are_small(path: Path):
    assert too_long(path) == []


@FILES
def test_public_things_have_a_docstring(path: Path):
    assert undocumented(path) == []


def test_every_folder_is_packaged():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent for path in files()}
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    packages = {name if name.startswith("qcompile") else f"qcompile.{name}" for name in names}
    assert sorted(settings["packages"]) == sorted(packages)


def test_layers_are_ranked_from_numerics_up_to_the_driver():
    assert rank("numerics.rounding") < rank("ir.node") < rank("passes.base") < rank("driver")
