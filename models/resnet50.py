"""ResNet-50 for 224 by 224 colour pictures: bottleneck blocks, four times as wide outside."""

from collections import OrderedDict

from torch import Tensor, nn

from qcompile.models.seeding import seeded
from qcompile.models.settle import noise, settle, vary


def resnet50(classes: int = 1000, seed: int = 0) -> nn.Module:
    """f32[n, 3, h, w] → f32[n, classes], in inference mode. 25.6 M weights, drawn from `seed`."""
    with seeded(seed):
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            stem=_conv(3, 64, kernel=7, stride=2),
            relu=nn.ReLU(),
            shrink=nn.MaxPool2d(3, stride=2, padding=1),
            stage1=_stage(64, 64, blocks=3, stride=1),
            stage2=_stage(256, 128, blocks=4, stride=2),
            stage3=_stage(512, 256, blocks=6, stride=2),
            stage4=_stage(1024, 512, blocks=3, stride=2),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            head=nn.Linear(2048, classes),
        )
        network = nn.Sequential(layers)
    return settle(vary(network, seed), (noise(2, 3, 224, 224, seed=seed),))


def example_inputs() -> tuple[Tensor, ...]:
    """One colour picture of 224 by 224."""
    return (noise(1, 3, 224, 224),)


def _stage(channels: int, width: int, *, blocks: int, stride: int) -> nn.Module:
    first = _Bottleneck(channels, width, stride=stride)
    rest = [_Bottleneck(4 * width, width, stride=1) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


class _Bottleneck(nn.Module):
    """relu(f(x) + s(x)): f narrows by 1x1, looks around by 3x3, widens by 1x1."""

    def __init__(self, channels: int, width: int, *, stride: int) -> None:
        super().__init__()
        same = stride == 1 and channels == 4 * width
        self.narrow = _conv(channels, width, kernel=1, stride=1)
        self.relu1 = nn.ReLU()
        self.look = _conv(width, width, kernel=3, stride=stride)
        self.relu2 = nn.ReLU()
        self.widen = _conv(width, 4 * width, kernel=1, stride=1)
        self.skip = nn.Identity() if same else _conv(channels, 4 * width, kernel=1, stride=stride)
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """relu(f(x) + s(x))."""
        narrow = self.relu1(self.narrow(x))
        return self.relu3(self.widen(self.relu2(self.look(narrow))) + self.skip(x))


def _conv(channels: int, width: int, *, kernel: int, stride: int) -> nn.Module:
    conv = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(width)))
