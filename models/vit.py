"""A small vision transformer for 28 by 28 pictures: patches of 4, LayerNorm before, class token."""

import torch
from torch import Tensor, nn

from qcompile.models.attention import Mlp, SelfAttention
from qcompile.models.seeding import seeded
from qcompile.models.settle import noise
from qcompile.models.stored import restored


def vit(layers: int = 4, width: int = 64, heads: int = 4, seed: int = 0) -> nn.Module:
    """f32[n, 1, 28, 28] → f32[n, 10], in inference mode."""
    with seeded(seed):
        return Vit(layers, width, heads).eval()


def trained() -> nn.Module:
    """The default network after `train_vit`."""
    return restored(vit(), "vit_fashion")


def example_inputs() -> tuple[Tensor, ...]:
    """One gray picture."""
    return (noise(1, 1, 28, 28),)


class Vit(nn.Module):
    """49 patches and a class token, whose last state gives the logits."""

    def __init__(self, layers: int, width: int, heads: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, width, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 50, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the ten classes."""
        patches = self.patch(x).flatten(2).transpose(1, 2)
        token = self.token.expand(x.shape[0], -1, -1)
        x = torch.cat((token, patches), 1) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """The stream after this block."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))
