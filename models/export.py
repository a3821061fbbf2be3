"""A torch module as one ONNX file: weights inside, layers as written, the same bytes each time.

`python -m qcompile.models.export resnet50 out.onnx` writes the example network of that name.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import onnx
import onnx_ir
import torch
from onnx_ir.passes import PassManager, common
from onnxscript import optimizer
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules.common import remove_optional_bias_from_conv_rule
from torch import Tensor, nn

from qcompile.models import efficientnet_lite0, mobilenet, resnet20, resnet50, unet

OPSET: Final = 18


def export(
    module: nn.Module, inputs: tuple[Tensor, ...], path: Path, *, output: str = "logits"
) -> None:
    """Writes `module` in inference mode, at the shapes of `inputs`, as `x` → `output`.

    Only what the exporter itself adds is taken away again: shape arithmetic, zero biases, traces
    of the source. A batch normalization stays a node of its own, for a compiler to fold.
    """
    program = torch.onnx.export(
        module.eval(),
        inputs,
        input_names=["x"],
        output_names=[output],
        opset_version=OPSET,
        dynamo=True,
        optimize=False,
        verbose=False,
    )
    assert program is not None
    proto = onnx_ir.to_proto(_tidy(program.model))
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _tidy(model: onnx_ir.Model) -> onnx_ir.Model:
    """The same function with constants folded, nodes named by layer and nothing unused."""
    optimizer.fold_constants(model)
    tidy = PassManager(
        [
            common.IdentityEliminationPass(),
            RewritePass([remove_optional_bias_from_conv_rule]),
            common.RemoveUnusedNodesPass(),
            common.RemoveUnusedOpsetsPass(),
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        ]
    )
    tidy(model)
    _name_by_layer(model.graph)
    common.NameFixPass()(model)
    return common.ClearMetadataAndDocStringPass()(model).model


def _name_by_layer(graph: onnx_ir.Graph) -> None:
    """A node and its result are called after their layer and operation: `stem.conv/Conv`.

    What the exporter makes of the lengths alone belongs to no layer.
    """
    for value in (*graph.inputs, *graph.initializers.values()):
        value.metadata_props.clear()
    for node in graph:
        scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes", "['', '']")
        node.name = f"{ast.literal_eval(scopes)[-2]}/{node.op_type}".lstrip("/")
        for value in node.outputs:
            value.metadata_props.clear()
            if value not in graph.outputs:
                value.name = node.name


@dataclass(frozen=True)
class _Example:
    """How to build a network, what to feed it, and what to call its result."""

    build: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Tensor, ...]]
    output: str = "logits"


_EXAMPLES: Final = {
    "efficientnet_lite0": _Example(
        efficientnet_lite0.efficientnet_lite0, efficientnet_lite0.example_inputs
    ),
    "mobilenet": _Example(mobilenet.mobilenet, mobilenet.example_inputs),
    "resnet20": _Example(resnet20.resnet20, resnet20.example_inputs),
    "resnet50": _Example(resnet50.resnet50, resnet50.example_inputs),
    "unet": _Example(unet.unet, unet.example_inputs, "mask"),
}


@click.command()
@click.argument("name", type=click.Choice(sorted(_EXAMPLES)))
@click.argument("path", type=click.Path(path_type=Path))
def main(name: str, path: Path) -> None:
    """Write the example network of that name to one ONNX file."""
    example = _EXAMPLES[name]
    export(example.build(), example.inputs(), path, output=example.output)


if __name__ == "__main__":
    main()
