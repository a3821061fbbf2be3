"""SGD with one learning-rate cycle: from a seed and a labelled set to trained weights."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from qcompile.models.seeding import seeded


def train(
    network: nn.Module,
    x: Tensor,
    label: Tensor,
    *,
    epochs: int,
    augment: Callable[[Tensor], Tensor],
    seed: int = 0,
    batch: int = 128,
    peak: float = 0.2,
) -> None:
    """Trains `network` in place and leaves it in inference mode.

    The rate climbs to `peak` and falls to nothing over all steps; the last, partial batch of
    an epoch is left out, so that every step weighs the same.
    """
    steps = len(x) // batch
    _arrange(network, torch.channels_last)  # twice as fast on a processor
    optimizer = torch.optim.SGD(
        network.parameters(), lr=peak, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=epochs * steps)
    network.train()
    with seeded(seed):
        for _ in range(epochs):
            order = torch.randperm(len(x))
            for step in range(steps):
                chosen = order[step * batch : (step + 1) * batch]
                optimizer.zero_grad()
                logits = network(augment(x[chosen]))
                nn.functional.cross_entropy(logits, label[chosen]).backward()
                optimizer.step()
                cycle.step()
    _arrange(network.eval(), torch.contiguous_format)


@torch.no_grad()
def accuracy(network: nn.Module, x: Tensor, label: Tensor) -> float:
    """The share of `x` whose largest logit is at `label`."""
    parts = [slice(start, start + 500) for start in range(0, len(x), 500)]
    right = [(network(x[part]).argmax(1) == label[part]).sum().item() for part in parts]
    return sum(right) / len(x)


def _arrange(network: nn.Module, layout: torch.memory_format) -> None:
    """Lays the weights out anew, in place; results take the layout of the weights."""
    network.to(memory_format=layout)  # pyright: ignore[reportCallIssue]  # not in torch's overloads
