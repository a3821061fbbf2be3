"""A small Mamba over bytes: causal convolution, selective scan by doubling, gate.

Mamba, Gu and Dao 2023 (arXiv 2312.00752), section 3; the scan is Hillis and Steele's, so that a
row of n places takes log₂ n steps of plain operations instead of n.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from qcompile.models.seeding import seeded
from qcompile.models.stored import restored

BYTES: Final = 256


def mamba(layers: int = 3, width: int = 96, state: int = 8, seed: int = 0) -> nn.Module:
    """i64[n, length] of bytes → f32[n, length, 256], in inference mode."""
    with seeded(seed):
        return Mamba(layers, width, state).eval()


def trained() -> nn.Module:
    """The default network after `train_text`."""
    return restored(mamba(), "mamba_jargon")


def example_inputs(length: int = 64) -> tuple[Tensor, ...]:
    """One row of tokens that count up."""
    return (torch.arange(length)[None] % BYTES,)


class Mamba(nn.Module):
    """Pre-norm blocks between an embedding and a head of its own."""

    def __init__(self, layers: int, width: int, state: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(BYTES, width)
        self.blocks = nn.ModuleList(Block(width, state) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.head = nn.Linear(width, BYTES, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the byte after each byte."""
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Block(nn.Module):
    """x + mixer(norm(x))."""

    def __init__(self, width: int, state: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.mixer = Mixer(width, state)

    def forward(self, x: Tensor) -> Tensor:
        """The stream after this block."""
        return x + self.mixer(self.norm(x))


class Mixer(nn.Module):
    """out(silu(z) · (scan(conv(x)) + skip · conv(x))), x and z being halves of one projection."""

    def __init__(self, width: int, state: int) -> None:
        super().__init__()
        inner, rank = 2 * width, width // 16
        self.split = [rank, state, state]
        self.in_proj = nn.Linear(width, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, 4, groups=inner, padding=3)
        self.x_proj = nn.Linear(inner, rank + 2 * state, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        self.log_decay = nn.Parameter(torch.log(torch.arange(1.0, state + 1)).repeat(inner, 1))
        self.skip = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, width, bias=False)
        steps = torch.exp(torch.linspace(-6.9, -2.3, inner))  # from 1e-3 to 1e-1
        with torch.no_grad():
            self.dt_proj.bias.copy_(torch.log(torch.expm1(steps)))

    def forward(self, x: Tensor) -> Tensor:
        """What each place gathers from the places up to it."""
        length = x.shape[1]
        x, z = self.in_proj(x).chunk(2, -1)
        x = self.conv(x.transpose(1, 2))[:, :, :length].transpose(1, 2)
        x = functional.silu(x)
        step, b, c = self.x_proj(x).split(self.split, -1)
        step = functional.softplus(self.dt_proj(step))
        decay = torch.exp(step[..., None] * -torch.exp(self.log_decay))
        states = scan(decay, (step * x)[..., None] * b[:, :, None, :])
        y = (states * c[:, :, None, :]).sum(-1) + self.skip * x
        return self.out_proj(y * functional.silu(z))


def scan(decay: Tensor, x: Tensor) -> Tensor:
    """h[t] = decay[t] · h[t − 1] + x[t] along axis 1 of four, with h[−1] = 0.

    After the step of width s, x holds the sum over the last 2s places and decay their product.
    """
    shift, length = 1, x.shape[1]
    while shift < length:
        before = (0, 0, 0, 0, shift, 0)
        x = x + decay * functional.pad(x[:, :-shift], before)
        decay = decay * functional.pad(decay[:, :-shift], before, value=1.0)
        shift *= 2
    return x
