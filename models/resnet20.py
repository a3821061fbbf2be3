"""ResNet-20 for small gray pictures: a stem, three stages of three residual blocks, a mean."""

from collections import OrderedDict

from torch import Tensor, nn

from qcompile.models.seeding import seeded
from qcompile.models.settle import noise, settle


def resnet20(classes: int = 10, seed: int = 0, *, stem_stride: int = 2) -> nn.Module:
    """f32[n, 1, h, w] → f32[n, classes], in inference mode. Widths 16, 32, 64; 272 k weights.

    A stem of stride 2 leaves a quarter of the positions, so it trains about four times as fast.
    """
    with seeded(seed):
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            stem=_conv(1, 16, stride=stem_stride),
            relu=nn.ReLU(),
            stage1=_stage(16, 16, stride=1),
            stage2=_stage(16, 32, stride=2),
            stage3=_stage(32, 64, stride=2),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            head=nn.Linear(64, classes),
        )
        network = nn.Sequential(layers)
    return settle(network, (noise(32, 1, 28, 28, seed=seed),))


def example_inputs() -> tuple[Tensor, ...]:
    """One gray picture of 28 by 28."""
    return (noise(1, 1, 28, 28),)


def _stage(channels: int, width: int, *, stride: int) -> nn.Module:
    return nn.Sequential(
        _Block(channels, width, stride=stride),
        _Block(width, width, stride=1),
        _Block(width, width, stride=1),
    )


class _Block(nn.Module):
    """relu(f(x) + s(x)): s is the identity, or a 1x1 convolution where the shape changes."""

    def __init__(self, channels: int, width: int, *, stride: int) -> None:
        super().__init__()
        same = stride == 1 and channels == width
        self.first = _conv(channels, width, stride=stride)
        self.relu1 = nn.ReLU()
        self.second = _conv(width, width, stride=1)
        self.skip = nn.Identity() if same else _conv(channels, width, kernel=1, stride=stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """relu(f(x) + s(x))."""
        return self.relu2(self.second(self.relu1(self.first(x))) + self.skip(x))


def _conv(channels: int, width: int, *, stride: int, kernel: int = 3) -> nn.Module:
    conv = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(width)))
