"""Transformers and a state-space model: read alike from torch and ONNX, trained, with outliers."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qcompile.frontends.onnx import read_onnx
from qcompile.frontends.torch_export import read_torch
from qcompile.ir.graph import Graph
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.norm import LayerNorm, RmsNorm
from qcompile.ir.ops.source import Const
from qcompile.models import bert, llama, mamba, vit
from qcompile.models.export import export
from qcompile.models.llama_shape import llama_graph
from qcompile.models.outliers import Planted, planted_llama, planted_mamba, planted_vit
from qcompile.models.text import perplexity, read_text, rows
from qcompile.stages import simplify

torch.set_num_threads(1)
TEXT = read_text(Path(__file__).parents[1] / "data" / "jargon_excerpt.txt.gz")
PICTURES = np.load(Path(vit.__file__).parent / "resnet20_fashion_test.npz")
EVERY = [llama, bert, mamba, vit]
EXPORTED = [llama, *(pytest.param(m, marks=pytest.mark.slow) for m in (bert, mamba, vit))]
NORMS: dict[ModuleType, tuple[type, int]] = {
    llama: (RmsNorm, 9), bert: (LayerNorm, 7), mamba: (RmsNorm, 4), vit: (LayerNorm, 9),
}  # fmt: skip


def module_name(value: Any) -> str:
    return str(getattr(value, "__name__", value)).rpartition("models.")[2]


def example(model: ModuleType) -> Tensor:
    """Text or a picture."""
    if model is vit:
        return torch.from_numpy(PICTURES["x"][:1])
    return torch.from_numpy(rows(TEXT, 16)[:1])


def agrees(graph: Graph, network: nn.Module, x: Tensor) -> None:
    want = network(x).detach().numpy()
    got = graph.run(x.numpy())[0]
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()


@pytest.mark.parametrize("model", EVERY, ids=module_name)
def test_is_the_same_function_when_read_from_torch(model: ModuleType):
    network, x = model.trained(), example(model)
    graph = simplify(read_torch(network, inputs=(x,)))
    agrees(graph, network, x)
    kind, count = NORMS[model]
    assert sum(isinstance(n, kind) for n in graph.nodes) == count
    assert not any(isinstance(n, Foreign) for n in graph.nodes)


@pytest.mark.parametrize("model", EXPORTED, ids=module_name)
def test_is_the_same_function_when_read_from_onnx(model: ModuleType, tmp_path: Path):
    network, x = model.trained(), example(model)
    export(network, (x,), tmp_path / "network.onnx")
    graph = simplify(read_onnx(tmp_path / "network.onnx"))
    agrees(graph, network, x)
    kind, count = NORMS[model]
    assert sum(isinstance(n, kind) for n in graph.nodes) == count
    assert not any(isinstance(n, Foreign) for n in graph.nodes)


@pytest.mark.parametrize(("model", "at_most"), [(llama, 6.8), (mamba, 8.0)], ids=module_name)
def test_foresees_the_next_byte(model: ModuleType, at_most: float):
    network = model.trained()
    with torch.no_grad():
        found = perplexity(lambda x: network(torch.from_numpy(x)).numpy(), TEXT[:8192], batch=16)
    assert found <= at_most


def test_finds_hidden_bytes():
    hidden = np.random.default_rng(0).random((128, 64)) < 0.15
    text = rows(TEXT, 64)[:128]
    with torch.no_grad():
        logits = bert.trained()(torch.from_numpy(np.where(hidden, bert.MASK, text)))
    chances = logits.softmax(-1).numpy()[hidden, text[hidden]]
    assert np.exp(-np.log(chances).mean()) <= 24


def test_tells_clothes_apart():
    with torch.no_grad():
        found = vit.trained()(torch.from_numpy(PICTURES["x"])).argmax(1).numpy()
    assert np.mean(found == PICTURES["label"]) >= 0.84


def test_perplexity_of_a_model_that_knows_nothing_is_the_vocabulary():
    def blank(x: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.zeros((*x.shape, 256), np.float32)

    assert perplexity(blank, TEXT[:1024]) == pytest.approx(256)


def test_perplexity_of_a_model_that_knows_all_is_one():
    def oracle(x: NDArray[np.int64]) -> NDArray[np.float32]:
        return 100 * np.eye(256, dtype=np.float32)[np.roll(x, -1, 1)]

    assert perplexity(oracle, TEXT[:1024], length=32, batch=4) == pytest.approx(1)


NEEDLES = Planted(norms=(3, 17), gated=(5, 40), values=(1, 7), steps=(2,), factor=100.0)
PLANTED = [(llama, planted_llama), (vit, planted_vit), (mamba, planted_mamba)]
SITES = [
    (llama, planted_llama, "blocks.1.attention.q"),
    (llama, planted_llama, "blocks.2.mlp.gate"),
    (llama, planted_llama, "blocks.0.mlp.down"),
    (llama, planted_llama, "blocks.3.attention.o"),
    (vit, planted_vit, "blocks.1.attention.qkv"),
    (vit, planted_vit, "blocks.2.mlp.0"),
    (vit, planted_vit, "blocks.2.attention.o"),
    (mamba, planted_mamba, "blocks.0.mixer.in_proj"),
    (mamba, planted_mamba, "blocks.1.mixer.conv"),
    (mamba, planted_mamba, "blocks.2.mixer.dt_proj"),
]


@pytest.mark.parametrize(("model", "plant"), PLANTED, ids=module_name)
def test_outliers_leave_the_function_alone(model: ModuleType, plant: Callable[..., nn.Module]):
    network, x = model.trained(), example(model)
    want, got = network(x), plant(network, NEEDLES)(x)
    assert (got - want).abs().max() <= 1e-4 * want.abs().max()


@pytest.mark.parametrize(("model", "plant", "site"), SITES, ids=module_name)
def test_outliers_are_there(model: ModuleType, plant: Callable[..., nn.Module], site: str):
    network, x = model.trained(), example(model)
    before, after = (spread(n, site, x) for n in (network, plant(network, NEEDLES)))
    assert after > 20
    assert after > 10 * before


def spread(network: nn.Module, site: str, x: Tensor) -> float:
    """The largest channel's maximum over the median channel's, of what a layer reads."""
    seen: list[Tensor] = []
    layer = network.get_submodule(site)
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    network(x)
    axis = 1 if isinstance(layer, nn.Conv1d) else seen[-1].ndim - 1
    greatest = seen[-1].abs().amax([a for a in range(seen[-1].ndim) if a != axis])
    return float(greatest.max() / greatest.median())


def test_a_shape_is_the_same_function_as_the_module():
    shape = llama.Shape(layers=2, width=24, heads=6, kv_heads=2, hidden=40, vocabulary=64)
    graph, network = llama_graph(shape, 12), llama.llama(shape)
    weights = {n.name: n.array for n in graph.nodes if isinstance(n, Const)}
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            given = np.array(weights[name])
            turned = given.T if parameter.ndim == 2 and "embed" not in name else given
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(turned)))
    agrees(graph, network, torch.arange(12)[None] * 5)


def test_a_large_shape_costs_nothing():
    shape = llama.Shape(32, 4096, 32, 32, 11008, 32000, tied=False)
    graph = llama_graph(shape, 128)
    count = sum(n.data.size for n in graph.nodes if isinstance(n, Const) and n.data.size > 1 << 20)
    assert count == 6_738_149_376


def test_another_seed_gives_other_weights():
    shape = llama.Shape(layers=1, width=8, heads=2, kv_heads=1, hidden=16, vocabulary=32)
    x = np.arange(4)[None]
    first, same, other = (llama_graph(shape, 4, seed=s).run(x)[0] for s in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
