"""A small BERT over bytes: learned positions, LayerNorm after each residual, masked bytes."""

from typing import Final

import torch
from torch import Tensor, nn

from qcompile.models.attention import Mlp, SelfAttention
from qcompile.models.seeding import seeded
from qcompile.models.stored import restored

BYTES: Final = 256
MASK: Final = 256  # the token that stands for a hidden byte
CONTEXT: Final = 128


def bert(layers: int = 3, width: int = 96, heads: int = 4, seed: int = 0) -> nn.Module:
    """i64[n, length] of bytes and `MASK` → f32[n, length, 256], in inference mode."""
    with seeded(seed):
        return Bert(layers, width, heads).eval()


def trained() -> nn.Module:
    """The default network after `train_text`."""
    return restored(bert(), "bert_jargon")


def example_inputs(length: int = 64) -> tuple[Tensor, ...]:
    """One row of tokens that count up."""
    return (torch.arange(length)[None] % BYTES,)


class Bert(nn.Module):
    """Embeddings, blocks, and a head for the hidden bytes."""

    def __init__(self, layers: int, width: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(BYTES + 1, width)
        self.places = nn.Embedding(CONTEXT, width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.head = nn.Linear(width, BYTES)
        nn.init.normal_(self.embed.weight, std=0.1)
        nn.init.normal_(self.places.weight, std=0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the byte at each place."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.norm(self.embed(tokens) + self.places(places))
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Block(nn.Module):
    """norm(x + attention(x)), then norm(x + mlp(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads)
        self.attention_norm = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.mlp_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """The stream after this block."""
        x = self.attention_norm(x + self.attention(x))
        return self.mlp_norm(x + self.mlp(x))
