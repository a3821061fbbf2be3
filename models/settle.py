"""Statistics for the batch normalizations of a network that was never trained."""

import torch
from torch import Tensor, nn

from qcompile.models.seeding import seeded


def settle(network: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
    """`network` in inference mode, its running statistics measured on `inputs`.

    So no layer's output dies out or explodes. Weights stay as they are.
    """
    norms = _norms(network)
    for norm in norms:
        norm.momentum = None  # a plain mean over all that is seen: here, one batch
    with torch.no_grad():
        network.train()(*inputs)
    for norm in norms:
        norm.momentum = 0.1
    return network.eval()


def vary(network: nn.Module, seed: int = 0) -> nn.Module:
    """`network`, its normalizations as uneven over channels as training would make them.

    Scales are uniform in 0.5..1.5, shifts normal of deviation 0.2.
    """
    with seeded(seed), torch.no_grad():
        for norm in _norms(network):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0.0, 0.2)
    return network


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Pictures of no subject, about zero mean and unit deviation: coarse blobs plus fine grain."""
    source = torch.Generator().manual_seed(seed)
    n, channels, h, w = shape
    blobs = torch.randn(n, channels, 8, 8, generator=source)
    grain = torch.randn(n, channels, h, w, generator=source)
    smooth = nn.functional.interpolate(blobs, (h, w), mode="bilinear", align_corners=False)
    return smooth + 0.5 * grain


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
