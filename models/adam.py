"""AdamW with one learning-rate cycle, for attention and state spaces."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from qcompile.models.seeding import seeded


def train(
    network: nn.Module,
    loss: Callable[[], Tensor],
    *,
    steps: int,
    peak: float = 4e-3,
    seed: int = 0,
) -> None:
    """`steps` steps down `loss`, which draws its own batch; in place, inference mode at the end.

    The rate climbs to `peak` in the first tenth and falls to nothing along a cosine.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=0.05)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.1)
    network.train()
    with seeded(seed):
        for _ in range(steps):
            optimizer.zero_grad()
            loss().backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            cycle.step()
    network.eval()
