"""What the user names → a program of torch.export."""

from __future__ import annotations

import importlib
import inspect
import logging
import re
import sys
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.backends import mha
from torch.export import ExportedProgram

from qcompile.errors import BadModel, QcompileError, ReadError, UsageError

Shapes: TypeAlias = Mapping[str, Sequence[int]]
Inputs: TypeAlias = Tensor | Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True)
class Loaded:
    """A program under a name; `bound` are the shapes that its open dimensions still wait for."""

    name: str
    program: ExportedProgram
    bound: Shapes


def load_program(
    source: str | Path | nn.Module | ExportedProgram, *, shapes: Shapes, inputs: Inputs | None
) -> Loaded:
    """From a `.pt2` file, a `package.module:callable`, a module or a program."""
    if isinstance(source, nn.Module):
        return Loaded(
            type(source).__name__, _export(source, type(source).__name__, shapes, inputs), {}
        )
    if isinstance(source, ExportedProgram):
        return Loaded("program", source, shapes)
    path = Path(source)
    if path.suffix == ".pt2" or path.exists():
        return Loaded(path.stem, _load_file(path), shapes)
    if ":" not in str(source):
        raise ReadError(f"{source}: no such file, and not a package.module:callable")
    return _load_callable(str(source), shapes, inputs)


@contextmanager
def quiet() -> Generator[None]:
    """Inside, torch does not talk about itself: its later versions, how it traces."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


def _load_file(path: Path) -> ExportedProgram:
    if not path.is_file():
        raise ReadError(f"{path}: no such file")
    with quiet(), _overheard("torch.export") as remarks:
        try:
            return torch.export.load(path)
        except Exception as error:  # torch's own, zip's, json's, pickle's
            strange = _UNRESOLVED.search("\n".join(remarks))
            if strange is None:
                why = f"not an archive of torch.export.save: {_first_line(error)}"
            else:
                why = (
                    f"has the operator {strange[1]}, which only the library that registers it "
                    "knows: export the model without it, or to ONNX"
                )
            raise BadModel(f"{path}: {why}") from error


_UNRESOLVED = re.compile(r"failed to resolve torch\.ops\.(\S+?)(?:\.default)? to an operator")


@contextmanager
def _overheard(logger: str) -> Generator[list[str]]:
    """Inside, what torch logs under this name is kept, with its causes, instead of printed."""
    remarks: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        causes = record.exc_info[1:2] if record.exc_info else ()
        remarks.extend([record.getMessage(), *map(_whole_story, causes)])
        return False

    own = logging.getLogger(logger)
    own.addFilter(keep)
    try:
        yield remarks
    finally:
        own.removeFilter(keep)


def _whole_story(error: BaseException | None) -> str:
    """Its text, and that of what caused it."""
    return "" if error is None else f"{error}\n{_whole_story(error.__cause__)}"


def _load_callable(spec: str, shapes: Shapes, inputs: Inputs | None) -> Loaded:
    module_name, _, attribute = spec.partition(":")
    with _importable(Path.cwd()):
        found: Any = _import(module_name, spec)
        beside = found
        for part in attribute.split("."):
            if not hasattr(found, part):
                raise ReadError(f"{spec}: {module_name} has no {attribute!r}")
            found = getattr(found, part)
        made = found if isinstance(found, nn.Module) else _called(found, spec)
        if isinstance(made, ExportedProgram):
            return Loaded(attribute, made, shapes)
        if not isinstance(made, nn.Module):
            raise BadModel(f"{spec}: returns a {type(made).__name__}, wants a torch.nn.Module")
        if inputs is None and hasattr(beside, "example_inputs"):
            inputs = _called(beside.example_inputs, f"{module_name}:example_inputs")
        return Loaded(attribute, _export(made, spec, shapes, inputs), {})


@contextmanager
def _importable(folder: Path) -> Generator[None]:
    """Inside, modules of this folder can be imported."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def _import(name: str, spec: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever the user's module raises
        missing = isinstance(error, ModuleNotFoundError) and name.startswith(str(error.name))
        why = "no such module" if missing else _first_line(error)
        raise ReadError(f"{spec}: cannot import {name}: {why}") from error


def _called(function: Any, spec: str) -> Any:
    if not callable(function):
        raise ReadError(f"{spec}: is a {type(function).__name__}, wants a callable")
    try:
        return function()
    except QcompileError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise ReadError(f"{spec}: {_first_line(error)}") from error


def _export(
    module: nn.Module, where: str, shapes: Shapes, inputs: Inputs | None
) -> ExportedProgram:
    args, kwargs = _example(module, where, shapes, inputs)
    with _evaluating(module):
        try:
            with quiet():
                return torch.export.export(module, args, kwargs, strict=False)
        except Exception as error:  # torch's own, and whatever the module raises
            raise BadModel(f"{where}: torch.export fails: {_first_line(error)}") from error


@contextmanager
def _evaluating(module: nn.Module) -> Generator[None]:
    """Inside, in inference mode and attention in parts; afterwards each part as it was."""
    modes = {part: part.training for part in module.modules()}
    fast = mha.get_fastpath_enabled()
    module.eval()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(fast)
        for part, mode in modes.items():
            part.training = mode


def _example(
    module: nn.Module, where: str, shapes: Shapes, inputs: Inputs | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments; a shape given by name replaces the example's."""
    names = _parameters(module.forward)
    match inputs:
        case None:
            given: dict[str, Any] = {}
        case Tensor():
            given = dict(zip(names, (inputs,), strict=False))
        case Mapping():
            given = dict(inputs)
        case _:
            if len(inputs) > len(names):
                return tuple(inputs), {}
            given = dict(zip(names, inputs, strict=False))
    strangers = [name for name in shapes if name not in names]
    if strangers:
        raise UsageError(f"{where}: no input named {strangers[0]}: it takes {', '.join(names)}")
    for name, shape in shapes.items():
        old = given.get(name)
        dtype = old.dtype if isinstance(old, Tensor) else _float_of(module)
        given[name] = torch.zeros(tuple(shape), dtype=dtype)
    missing = [n for n, needed in names.items() if needed and n not in given]
    if missing:
        raise UsageError(
            f"{where}: nothing says the shape of {', '.join(missing)}: give --input-shape "
            f"{missing[0]}=1x3x224x224, or write example_inputs() beside the callable"
        )
    return (), {name: given[name] for name in names if name in given}


def _parameters(forward: Callable[..., Any]) -> dict[str, bool]:
    """The arguments by name, and whether they must be given."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name: p.default is inspect.Parameter.empty
        for name, p in inspect.signature(forward).parameters.items()
        if p.kind in kinds
    }


def _float_of(module: nn.Module) -> torch.dtype:
    for parameter in module.parameters():
        if parameter.dtype.is_floating_point:
            return parameter.dtype
    return torch.float32


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
