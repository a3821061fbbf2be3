"""Contractions to predict: convolutions of squares and plain products."""

from qcompile.targets.cuda.work import Work


def convolution(batch: int, size: int, channels: int, outputs: int, kernel: int, *, bits: int = 8):
    places, taps = batch * size**2, kernel**2
    return Work(
        places=places, outputs=outputs, depth_bytes=taps * channels * bits // 8,
        bits=bits, weight_bits=bits,
        input_bytes=places * channels * bits // 8,
        weight_bytes=taps * channels * outputs * bits // 8,
        output_bytes=places * outputs * bits // 8,
    )  # fmt: skip


def product(places: int, outputs: int, depth: int) -> Work:
    return Work(
        places, outputs, depth, bits=8, weight_bits=8, input_bytes=places * depth,
        weight_bytes=outputs * depth, output_bytes=places * outputs,
    )  # fmt: skip


WIDENING = convolution(8, 56, 64, 256, 1)
DEEP = convolution(64, 14, 512, 512, 3)
