"""Trains the vision transformer on Fashion-MNIST: `python -m qcompile.models.train_vit --data DIR`.

Writes `vit_fashion.npz`, in about three minutes on one core. Pictures are those of `fashion`.
"""

from pathlib import Path

import click
import torch
from torch import Tensor
from torch.nn import functional

from qcompile.models import fashion
from qcompile.models.adam import train
from qcompile.models.stored import FOLDER, store
from qcompile.models.training import accuracy
from qcompile.models.vit import vit


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="IDX files' folder.")
@click.option("--out", type=click.Path(path_type=Path), default=FOLDER)
@click.option("--steps", default=2500, show_default=True)
def main(data: Path, out: Path, steps: int) -> None:
    """Train, write, measure on the 10 000 test pictures."""
    torch.set_num_threads(1)
    training, test = fashion.read_training(data), fashion.read_test(data)
    x = torch.from_numpy(fashion.normalise(training.pixels))
    label = torch.from_numpy(training.labels)
    network = vit()

    def loss() -> Tensor:
        chosen = torch.randint(len(x), (64,))
        return functional.cross_entropy(network(x[chosen]), label[chosen])

    train(network, loss, steps=steps, peak=2e-3)
    store(network, out / "vit_fashion.npz")
    test_x = torch.from_numpy(fashion.normalise(test.pixels))
    share = accuracy(network, test_x, torch.from_numpy(test.labels))
    click.echo(f"accuracy on {len(test_x)} test pictures: {share:.4f}")


if __name__ == "__main__":
    main()
