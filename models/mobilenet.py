"""A MobileNet: inverted residuals of depthwise convolutions, ReLU6 early and hard-swish late."""

from collections import OrderedDict

from torch import Tensor, nn

from qcompile.models.seeding import seeded
from qcompile.models.settle import noise, settle, vary


def mobilenet(classes: int = 10, seed: int = 0) -> nn.Module:
    """f32[n, 3, h, w] → f32[n, classes], in inference mode. Weights drawn from `seed`."""
    with seeded(seed):
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            stem=_conv(3, 16, kernel=3, stride=2),
            act=nn.ReLU6(),
            block1=_Inverted(16, 16, expand=1, stride=1, act=nn.ReLU6),
            block2=_Inverted(16, 24, expand=4, stride=2, act=nn.ReLU6),
            block3=_Inverted(24, 24, expand=4, stride=1, act=nn.ReLU6),
            block4=_Inverted(24, 40, expand=4, stride=2, act=nn.Hardswish, kernel=5),
            block5=_Inverted(40, 40, expand=4, stride=1, act=nn.Hardswish, kernel=5),
            block6=_Inverted(40, 80, expand=4, stride=2, act=nn.Hardswish),
            block7=_Inverted(80, 80, expand=4, stride=1, act=nn.Hardswish),
            last=_conv(80, 240, kernel=1, stride=1),
            last_act=nn.Hardswish(),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            head=nn.Linear(240, classes),
        )
        network = nn.Sequential(layers)
    return settle(vary(network, seed), (noise(16, 3, 64, 64, seed=seed),))


def example_inputs() -> tuple[Tensor, ...]:
    """One colour picture of 64 by 64."""
    return (noise(1, 3, 64, 64),)


class _Inverted(nn.Module):
    """x + f(x), or f(x) where the shape changes: f widens, looks around by channel, narrows.

    The narrow end is linear: a clip there would lose what few channels carry.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        expand: int,
        stride: int,
        act: type[nn.Module],
        kernel: int = 3,
    ) -> None:
        super().__init__()
        wide = channels * expand
        self.same = stride == 1 and channels == width
        self.widen = _conv(channels, wide, kernel=1, stride=1)
        self.act1 = act()
        self.look = _conv(wide, wide, kernel=kernel, stride=stride, groups=wide)
        self.act2 = act()
        self.narrow = _conv(wide, width, kernel=1, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        """x + f(x), or f(x) where the shape changes."""
        y = self.narrow(self.act2(self.look(self.act1(self.widen(x)))))
        return x + y if self.same else y


def _conv(channels: int, width: int, *, kernel: int, stride: int, groups: int = 1) -> nn.Module:
    conv = nn.Conv2d(
        channels, width, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(width)))
