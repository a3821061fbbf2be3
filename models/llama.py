"""A small Llama over bytes: RMSNorm, rotary positions, grouped queries, SwiGLU."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from qcompile.models.seeding import seeded
from qcompile.models.stored import restored

BYTES: Final = 256


@dataclass(frozen=True)
class Shape:
    """Lengths of a Llama; `heads` share `kv_heads` evenly, and `width` divides by `heads`."""

    layers: int = 4
    width: int = 96
    heads: int = 6
    kv_heads: int = 2
    hidden: int = 256
    vocabulary: int = BYTES
    context: int = 256
    tied: bool = True


def llama(shape: Shape = Shape(), seed: int = 0) -> nn.Module:
    """i64[n, length] of tokens → f32[n, length, vocabulary], in inference mode."""
    with seeded(seed):
        return Llama(shape).eval()


def trained() -> nn.Module:
    """The Llama of `Shape()` after `train_text`."""
    return restored(llama(), "llama_jargon")


def example_inputs(length: int = 64) -> tuple[Tensor, ...]:
    """One row of tokens that count up."""
    return (torch.arange(length)[None] % BYTES,)


class Llama(nn.Module):
    """Pre-norm decoder; with `tied` the head is the embedding."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=1e-5)
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        nn.init.normal_(self.embed.weight, std=0.02)
        if shape.tied:
            self.head.weight = self.embed.weight
        cos, sin = rotary_tables(shape.context, shape.width // shape.heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the byte after each byte."""
        length = tokens.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.head(self.norm(x))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, eps=1e-5)
        self.attention = Attention(shape)
        self.mlp_norm = nn.RMSNorm(shape.width, eps=1e-5)
        self.mlp = Mlp(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """The stream after this block."""
        x = x + self.attention(self.attention_norm(x), cos, sin)
        return x + self.mlp(self.mlp_norm(x))


class Attention(nn.Module):
    """Causal; several query heads read each key and value head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.kv_heads = shape.heads, shape.kv_heads
        self.size = shape.width // shape.heads
        self.q = nn.Linear(shape.width, shape.heads * self.size, bias=False)
        self.k = nn.Linear(shape.width, shape.kv_heads * self.size, bias=False)
        self.v = nn.Linear(shape.width, shape.kv_heads * self.size, bias=False)
        self.o = nn.Linear(shape.heads * self.size, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """What each place gathers from the places up to it."""
        batch, length, width = x.shape
        q = self.q(x).view(batch, length, self.heads, self.size).transpose(1, 2)
        k = self.k(x).view(batch, length, self.kv_heads, self.size).transpose(1, 2)
        v = self.v(x).view(batch, length, self.kv_heads, self.size).transpose(1, 2)
        times = self.heads // self.kv_heads
        q, k = rotated(q, cos, sin), repeated(rotated(k, cos, sin), times)
        y = functional.scaled_dot_product_attention(q, k, repeated(v, times), is_causal=True)
        return self.o(y.transpose(1, 2).reshape(batch, length, width))


class Mlp(nn.Module):
    """down(silu(gate(x)) · up(x))."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """SwiGLU."""
        return self.down(functional.silu(self.gate(x)) * self.up(x))


def rotary_tables(context: int, size: int) -> tuple[Tensor, Tensor]:
    """cos and sin of place · 10000^(−2i/size), f32[context, size], the halves alike."""
    frequency = 10000 ** (-torch.arange(0, size, 2) / size)
    angle = torch.arange(context)[:, None] * frequency
    doubled = torch.cat((angle, angle), 1)
    return doubled.cos(), doubled.sin()


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x turned in the planes (i, i + size/2), by the angles of the tables."""
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat((-right, left), -1) * sin


def repeated(x: Tensor, times: int) -> Tensor:
    """Each head of [n, heads, length, size] `times` over, side by side."""
    batch, heads, length, size = x.shape
    wide = x[:, :, None].expand(batch, heads, times, length, size)
    return wide.reshape(batch, heads * times, length, size)
