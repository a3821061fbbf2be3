"""The nine light graphs of the onnx package, with random weights where all were 0.02.

The package ships the graphs of well-known networks, opset 9 and IR 3, each weight of which is one
repeated constant, made by a ConstantOfShape: all outputs are equal and nothing can be measured.
"""

import math
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from qcompile.models.light_settle import settle_norms

LIGHT_NAMES: Final = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)

Role = tuple[str, int]  # the operation that uses a value, and as which operand


def seeded_light_model(name: str, seed: int = 0) -> onnx.ModelProto:
    """The graph `name` with an initializer for every float constant; integer ones stay.

    It wants one picture f32[1, 3, 224, 224] of about zero mean and unit deviation. Statistics of
    normalizations are measured on such noise, so no layer's output dies out or explodes. As
    IR 3 demands, initializers are listed as inputs too; the picture is the one that is not.
    """
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    model = onnx.load(folder / f"light_{name}.onnx")
    source = np.random.default_rng(seed)
    roles = _roles(model.graph)
    shapes = _float_constants(model.graph)
    weights = {k: _draw(roles[k], s, source) for k, s in shapes.items() if k in roles}
    picture = source.standard_normal((1, 3, 224, 224), np.float32)
    _replace_constants(model.graph, weights | settle_norms(model, weights, picture))
    return model


def _float_constants(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """Every constant float by name, as its shape: the stored ones and the repeated ones."""
    stored = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    floats = {k: v.shape for k, v in stored.items() if v.dtype == np.float32}
    makers = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    return floats | {m.output[0]: tuple(stored[m.input[0]].tolist()) for m in makers}


def _roles(graph: onnx.GraphProto) -> dict[str, Role]:
    """The role of every used value. What only changes shape passes the role of its result on."""
    roles: dict[str, Role] = {}
    for node in reversed(graph.node):
        for index, operand in enumerate(node.input):
            roles[operand] = (node.op_type, index)
            if node.op_type in ("Reshape", "Unsqueeze") and index == 0:
                roles[operand] = roles[node.output[0]]
    return roles


def _draw(role: Role, shape: tuple[int, ...], source: np.random.Generator) -> NDArray[np.float32]:
    """Filters: normal of variance 2 / fan-in. Scales: uniform in 0.5..1.5. Shifts: 0 ± 0.1."""
    match role:
        case ("Conv", 1):
            deviation = math.sqrt(2 / math.prod(shape[1:]))
        case ("Gemm", 1):
            deviation = math.sqrt(2 / shape[-1])
        case ("BatchNormalization", 1 | 4) | ("Mul", _):
            return source.random(shape, np.float32) + np.float32(0.5)
        case _:
            deviation = 0.1
    return source.standard_normal(shape, np.float32) * np.float32(deviation)


def _replace_constants(graph: onnx.GraphProto, weights: dict[str, NDArray[np.float32]]) -> None:
    """In place: initializers and inputs for `weights`, and no ConstantOfShape nor its shape."""
    made = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    gone = {node.input[0] for node in made} | weights.keys()
    nodes = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    kept = [i for i in graph.initializer if i.name not in gone]
    inputs = [i for i in graph.input if i.name not in gone]
    del graph.node[:], graph.initializer[:], graph.input[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(w, name) for name, w in weights.items())
    graph.input.extend(inputs)
    graph.input.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, w.shape)
        for name, w in weights.items()
    )
