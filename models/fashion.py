"""Fashion-MNIST from its IDX files: 60 000 pictures to train on, 10 000 to test on.

The files come with the Debian package dataset-fashion-mnist, which need not be installed:
`apt-get download dataset-fashion-mnist`, `dpkg -x *.deb DIR`, and the folder is
`DIR/usr/share/datasets/fashion-mnist`.

Every picture is fed as (x / 255 - MEAN) / DEVIATION, both taken over the training pictures.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

MEAN: Final = 0.2860
DEVIATION: Final = 0.3530

_HEADERS: Final = {1: 8, 3: 16}  # bytes before the values, by the number of axes


@dataclass(frozen=True)
class Pictures:
    """Gray pictures u8[n, 28, 28] and the class of each, i64[n] in 0..9."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.pixels.shape != (len(self.labels), 28, 28):
            raise ValueError(f"{self.pixels.shape} pixels for {len(self.labels)} labels")


def read_training(folder: Path) -> Pictures:
    """The 60 000 training pictures, in file order."""
    return _read(folder, "train")


def read_test(folder: Path) -> Pictures:
    """The 10 000 test pictures, in file order."""
    return _read(folder, "t10k")


def normalise(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(x / 255 - MEAN) / DEVIATION as f32[n, 1, 28, 28], computed in f32."""
    unit = pixels[:, None].astype(np.float32) / np.float32(255)
    return (unit - np.float32(MEAN)) / np.float32(DEVIATION)


def _read(folder: Path, split: str) -> Pictures:
    pixels = _read_idx(folder / f"{split}-images-idx3-ubyte.gz")
    labels = _read_idx(folder / f"{split}-labels-idx1-ubyte.gz")
    return Pictures(pixels, labels.astype(np.int64))


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """IDX: 0, 0, 8 for u8, the number of axes, each extent as big-endian i32, then the values."""
    raw = gzip.decompress(path.read_bytes())
    axes = raw[3]
    if raw[:3] != b"\0\0\x08" or axes not in _HEADERS:
        raise ValueError(f"{path}: header {raw[:4]!r} is not IDX of bytes with 1 or 3 axes")
    shape = np.frombuffer(raw, ">i4", axes, offset=4)
    return np.frombuffer(raw, np.uint8, offset=_HEADERS[axes]).reshape(shape)
