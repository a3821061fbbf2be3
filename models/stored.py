"""Trained weights beside the builders: half precision in a compressed file, single in use."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

FOLDER = Path(__file__).parent


def store(network: nn.Module, path: Path) -> None:
    """Writes every parameter and kept buffer as f16, each once, by its name."""
    state = dict(network.named_parameters())  # a tied weight has one name here
    arrays = {name: tensor.detach().numpy().astype(np.float16) for name, tensor in state.items()}
    np.savez_compressed(path, allow_pickle=False, **arrays)


def restored(network: nn.Module, name: str, *, folder: Path = FOLDER) -> nn.Module:
    """`network` with the weights of `<name>.npz`, all of which it must have, in place."""
    parameters = dict(network.named_parameters())
    with np.load(folder / f"{name}.npz") as arrays, torch.no_grad():
        if sorted(arrays) != sorted(parameters):
            raise ValueError(f"{name}.npz holds other weights than the network has")
        for key, parameter in parameters.items():
            parameter.copy_(torch.from_numpy(arrays[key].astype(np.float32)))
    return network.eval()
