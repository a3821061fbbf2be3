"""A small U-Net: down three times, up three times, each level seeing what its twin saw."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from qcompile.models.seeding import seeded
from qcompile.models.settle import noise, settle, vary


def unet(width: int = 8, seed: int = 0) -> nn.Module:
    """f32[n, 1, h, w] → f32[n, 1, h, w] in 0..1, in inference mode; 8 divides h and w."""
    with seeded(seed):
        network = _UNet(width)
    return settle(vary(network, seed), (noise(8, 1, 64, 64, seed=seed),))


def example_inputs() -> tuple[Tensor, ...]:
    """One gray picture of 64 by 64."""
    return (noise(1, 1, 64, 64),)


class _UNet(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.down1 = _double(1, width)
        self.down2 = _double(width, 2 * width)
        self.down3 = _double(2 * width, 4 * width)
        self.floor = _double(4 * width, 8 * width)
        self.up3 = _Up(8 * width, 4 * width)
        self.up2 = _Up(4 * width, 2 * width)
        self.up1 = _Up(2 * width, width)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(width, 1, 1)
        self.mask = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Down to the floor, then up with the twin of each level at hand."""
        level1 = self.down1(x)
        level2 = self.down2(self.pool(level1))
        level3 = self.down3(self.pool(level2))
        floor = self.floor(self.pool(level3))
        return self.mask(self.head(self.up1(self.up2(self.up3(floor, level3), level2), level1)))


class _Up(nn.Module):
    """Twice the extent, half the channels, joined with the twin level and mixed."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.grow = nn.ConvTranspose2d(channels, width, 2, stride=2)
        self.mix = _double(2 * width, width)

    def forward(self, x: Tensor, twin: Tensor) -> Tensor:
        """mix([grow(x), twin])."""
        return self.mix(torch.cat([self.grow(x), twin], dim=1))


def _double(channels: int, width: int) -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(channels, width, 3, padding=1, bias=False),
        norm1=nn.BatchNorm2d(width),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(width, width, 3, padding=1, bias=False),
        norm2=nn.BatchNorm2d(width),
        relu2=nn.ReLU(),
    )
    return nn.Sequential(layers)
