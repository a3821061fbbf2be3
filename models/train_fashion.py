"""Trains the ResNet-20 on Fashion-MNIST and writes it with the pictures to calibrate and test it.

`python -m qcompile.models.train_fashion --data DIR`, in about five minutes on two cores:

- `resnet20_fashion.onnx`: the trained network, `x` f32[1, 1, 28, 28] → `logits` f32[1, 10];
- `resnet20_fashion_calib.npz`: `x`, the first 64 training pictures;
- `resnet20_fashion_test.npz`: `x` and `label`, the first 500 test pictures.

Pictures are stored as they are fed: (pixel / 255 - 0.2860) / 0.3530, in f32. The seed is fixed,
but sums are ordered by the processor: another machine gets other bits of the same quality.
"""

from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from qcompile.models import fashion
from qcompile.models.export import export
from qcompile.models.resnet20 import example_inputs, resnet20
from qcompile.models.training import accuracy, train


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="IDX files' folder.")
@click.option("--out", type=click.Path(path_type=Path), default=Path(__file__).parent)
@click.option("--epochs", default=6, show_default=True)
def main(data: Path, out: Path, epochs: int) -> None:
    """Train, measure on the 10 000 test pictures, write the three files."""
    training, test = fashion.read_training(data), fashion.read_test(data)
    x, label = fashion.normalise(training.pixels), training.labels
    test_x, test_label = fashion.normalise(test.pixels), test.labels

    network = resnet20()
    train(network, torch.from_numpy(x), torch.from_numpy(label), epochs=epochs, augment=_flip)
    share = accuracy(network, torch.from_numpy(test_x), torch.from_numpy(test_label))
    click.echo(f"accuracy on {len(test_x)} test pictures: {share:.4f}")

    export(network, example_inputs(), out / "resnet20_fashion.onnx")
    np.savez_compressed(out / "resnet20_fashion_calib.npz", x=x[:64])
    np.savez_compressed(out / "resnet20_fashion_test.npz", x=test_x[:500], label=test_label[:500])


def _flip(x: Tensor) -> Tensor:
    """Half of the pictures, drawn at random, mirrored left to right."""
    chosen = torch.rand(len(x), 1, 1, 1) < 0.5
    return torch.where(chosen, x.flip(3), x)


if __name__ == "__main__":
    main()
