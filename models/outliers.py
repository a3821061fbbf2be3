"""Outliers planted where large models have them, without changing the function.

A channel between two layers is made larger by the first and smaller by the second, which cancels
whatever lies between as long as that is homogeneous in the channel: a gain after a norm (as in
SmoothQuant, arXiv 2211.10438, section 4, read backwards), the linear factor of a gated unit, values
of attention, the input of a depthwise convolution, the input vector of a state space, the few
channels from which its step sizes are computed.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from qcompile.models import llama, mamba, vit

Channels: TypeAlias = Sequence[int]


@dataclass(frozen=True)
class Planted:
    """Which channels of each kind of activation grow, and how much; an empty list leaves it."""

    norms: Channels = ()
    gated: Channels = ()
    values: Channels = ()
    steps: Channels = ()
    factor: float = 100.0


def planted_llama(network: nn.Module, what: Planted) -> nn.Module:
    """A copy with outliers behind the norms, in up · silu(gate), and in the values."""
    found = deepcopy(network)
    assert isinstance(found, llama.Llama)
    for block in _blocks(found):
        attention, mlp = block.attention, block.mlp
        _behind_norm(block.attention_norm, (attention.q, attention.k, attention.v), what)
        _behind_norm(block.mlp_norm, (mlp.gate, mlp.up), what)
        _between(mlp.up, mlp.down, what.gated, what.factor)
        _grow(attention.v.weight, what.values, what.factor)
        for read in _readers(what.values, attention):
            _shrink(attention.o.weight, read, what.factor)
    return found


def planted_vit(network: nn.Module, what: Planted) -> nn.Module:
    """A copy with outliers behind the norms and in the values."""
    found = deepcopy(network)
    assert isinstance(found, vit.Vit)
    width = found.head.in_features
    values = [2 * width + channel for channel in what.values]
    for block in _blocks(found):
        _behind_norm(block.attention_norm, (block.attention.qkv,), what)
        _behind_norm(block.mlp_norm, (block.mlp[0],), what)
        _grow(block.attention.qkv.weight, values, what.factor)
        _grow(block.attention.qkv.bias, values, what.factor)
        _shrink(block.attention.o.weight, what.values, what.factor)
    return found


def planted_mamba(network: nn.Module, what: Planted) -> nn.Module:
    """A copy with outliers behind the norms, in front of the convolutions (`gated`: the gate keeps
    its own channels), in the input vectors b of the state spaces (`values`), and in the vectors of
    low rank that become their step sizes (`steps`)."""
    found = deepcopy(network)
    assert isinstance(found, mamba.Mamba)
    for block in _blocks(found):
        mixer = block.mixer
        rank, state, _ = mixer.split
        _behind_norm(block.norm, (mixer.in_proj,), what)
        _grow(mixer.in_proj.weight, what.gated, what.factor)
        with torch.no_grad():
            mixer.conv.weight[list(what.gated)] /= what.factor
        _grow(mixer.x_proj.weight, [rank + n for n in what.values], what.factor)
        _grow(mixer.x_proj.weight, [rank + state + n for n in what.values], 1 / what.factor)
        _between(mixer.x_proj, mixer.dt_proj, what.steps, what.factor)
    return found


def _blocks(network: nn.Module) -> Sequence[nn.Module]:
    return list(network.blocks)  # pyright: ignore[reportArgumentType, reportUnknownVariableType]


def _behind_norm(norm: nn.Module, readers: Sequence[nn.Linear], what: Planted) -> None:
    """gain · factor, and bias with it; every reader takes it back."""
    for parameter in norm.parameters():
        _grow(parameter, what.norms, what.factor)
    for reader in readers:
        _shrink(reader.weight, what.norms, what.factor)


def _between(first: nn.Linear, second: nn.Linear, channels: Channels, factor: float) -> None:
    _grow(first.weight, channels, factor)
    _shrink(second.weight, channels, factor)


def _readers(channels: Channels, attention: llama.Attention) -> Sequence[Channels]:
    """Where the query heads that share them put these channels of the values."""
    size, times = attention.size, attention.heads // attention.kv_heads
    return [
        [(c // size * times + head) * size + c % size for c in channels] for head in range(times)
    ]


@torch.no_grad()
def _grow(weight: Tensor, rows: Channels, factor: float) -> None:
    weight[list(rows)] *= factor


@torch.no_grad()
def _shrink(weight: Tensor, columns: Channels, factor: float) -> None:
    weight[:, list(columns)] /= factor
