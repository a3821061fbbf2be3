"""A model from wherever it is: ONNX file, torch.export archive, or a callable that builds one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qcompile.errors import ReadError
from qcompile.ir.graph import Graph

Shapes = Mapping[str, tuple[int, ...]]


def load(model: object, *, shapes: Shapes | None = None) -> Graph:
    """The float graph of `model.onnx`, `model.pt2`, `package.module:callable`, or a torch module.

    `shapes` binds open dimensions by input name. `ReadError` says what is wrong and what to do.
    """
    bound: Shapes = {} if shapes is None else shapes
    match model:
        case Graph():
            return model
        case str() | Path():
            return _from_text(str(model), bound)
        case _:
            from qcompile.frontends.torch_export import read_torch

            return read_torch(model, shapes=bound)  # pyright: ignore[reportArgumentType] - it checks


def _from_text(text: str, shapes: Shapes) -> Graph:
    path = Path(text)
    if path.suffix == ".onnx":
        from qcompile.frontends.onnx import read_onnx

        return read_onnx(path, shapes=shapes)
    if path.suffix == ".pt2" or ":" in text:
        from qcompile.frontends.torch_export import read_torch

        return read_torch(text, shapes=shapes)
    if not path.exists():
        raise ReadError(
            f"no model at {path}: give model.onnx, model.pt2 or package.module:callable"
        )
    raise ReadError(
        f"{path}: cannot tell what model this is by its name; give model.onnx, model.pt2 or "
        "package.module:callable"
    )
