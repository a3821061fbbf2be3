"""A seed → the files of a damaged CUDA artifact; often with checksums that hold all the same."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from qcompile.targets.checksum import fingerprint
from qcompile.targets.cuda.plan import Plan
from qcompile.targets.cuda.plan_file import HEADER, PLAN, WEIGHTS, encode, sealed
from tests.targets.cuda.forged import at, forged, numbers
from tests.targets.cuda.small_model import FILES, IMAGE, PLAN_SMALL, WEIGHT

T = TypeVar("T")
PLACES = tuple(numbers(PLAN_SMALL))
Files = dict[str, bytes]
Rng = np.random.Generator
Change = Callable[[Rng, bytes], bytes]

NUMBERS = (
    0, 1, 2, 3, 4, 5, 7, 8, 16, 63, 64, 127, 128, 255, 256, 1024, 1025, 1 << 16, (1 << 31) - 1,
    1 << 31, (1 << 32) - 1, 1 << 32, (1 << 40) - 1, 1 << 40, (1 << 40) + 1, 1 << 63, (1 << 64) - 1,
)  # fmt: skip


def mutated(seed: int) -> Files:
    """The small model's files, one to three times damaged."""
    rng = np.random.default_rng(seed)
    files = {PLAN: encode(PLAN_SMALL), WEIGHTS: WEIGHT.tobytes(), **FILES}
    for _ in range(rng.integers(1, 4)):
        files = _pick(rng, DAMAGES)(rng, files)
    return files


def _pick(rng: Rng, values: tuple[T, ...]) -> T:
    return values[rng.integers(len(values))]


def _flip(rng: Rng, data: bytes) -> bytes:
    result = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        bit = int(rng.integers(8 * len(result)))
        result[bit // 8] ^= 1 << bit % 8
    return bytes(result)


def _cut(rng: Rng, data: bytes) -> bytes:
    return data[: rng.integers(len(data))]


def _grow(rng: Rng, data: bytes) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 65)))


def _word(rng: Rng, data: bytes) -> bytes:
    """A number that may matter in place of another."""
    size = int(rng.choice([1, 4, 8]))
    at = int(rng.integers(max(1, len(data) - size)))
    number = NUMBERS[rng.integers(len(NUMBERS))] & ((1 << 8 * size) - 1)
    return data[:at] + number.to_bytes(size, "little") + data[at + size :]


def _step(rng: Rng, data: bytes) -> bytes:
    """A number off by a little."""
    at = 4 * int(rng.integers(len(data) // 4))
    (value,) = struct.unpack_from("<I", data, at)
    changed = (value + int(rng.integers(-9, 10))) & 0xFFFFFFFF
    return data[:at] + struct.pack("<I", changed) + data[at + 4 :]


def _swap(rng: Rng, data: bytes) -> bytes:
    """Two sections in each other's place."""
    a, b, c, d = sorted(int(at) for at in rng.integers(len(data) + 1, size=4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _drop(rng: Rng, data: bytes) -> bytes:
    a, b = sorted(int(at) for at in rng.integers(len(data) + 1, size=2))
    return data[:a] + data[b:]


def _repeat(rng: Rng, data: bytes) -> bytes:
    a, b = sorted(int(at) for at in rng.integers(len(data) + 1, size=2))
    return data[:b] + data[a:b] + data[b:]


CHANGES = (_flip, _cut, _grow, _word, _word, _step, _swap, _drop, _repeat)


def _any_file(rng: Rng, files: Files) -> Files:
    """One file, and nobody vouches for it."""
    name = list(files)[rng.integers(len(files))]
    data = files[name]
    return {**files, name: _pick(rng, CHANGES)(rng, data) if len(data) > 8 else b""}


def _plan(rng: Rng, files: Files) -> Files:
    """The plan's fields, under a checksum that holds."""
    body = files[PLAN][HEADER:]
    return {**files, PLAN: sealed(_pick(rng, CHANGES)(rng, body) if len(body) > 8 else body)}


def _field(rng: Rng, files: Files) -> Files:
    """A few numbers of a whole plan, whatever they mean."""
    plan = PLAN_SMALL
    for _ in range(rng.integers(1, 4)):
        path = PLACES[rng.integers(len(PLACES))]
        near = int(at(plan, path)) + int(rng.integers(-2, 3))
        number = near if rng.integers(3) == 0 else NUMBERS[rng.integers(len(NUMBERS))]
        changed = forged(plan, path, number)
        plan = changed if _fits(changed) else plan
    return {**files, PLAN: encode(plan)}


def _fits(plan: Plan) -> bool:
    """Its numbers have room in their fields."""
    try:
        encode(plan)
    except struct.error:
        return False
    return True


def _kernels(rng: Rng, files: Files) -> Files:
    """The kernels, and a plan that vouches for them."""
    data = _pick(rng, CHANGES)(rng, files[IMAGE.file] or bytes(64))
    data += bytes(-len(data) % 8)
    fits = len(data) >= IMAGE.bytes
    image = replace(IMAGE, bytes=len(data), fingerprint=fingerprint([data])) if fits else IMAGE
    plan = replace(PLAN_SMALL, images=(image, *PLAN_SMALL.images[1:]))
    return {**files, IMAGE.file: data, PLAN: encode(plan)}


def _weights(rng: Rng, files: Files) -> Files:
    """The weights' bits, which an unchecked model takes as they are."""
    return {**files, WEIGHTS: _flip(rng, files[WEIGHTS] or bytes(8))}


def _exchange(rng: Rng, files: Files) -> Files:
    """Two files in each other's place."""
    a, b = (list(files)[i] for i in rng.integers(len(files), size=2))
    return {**files, a: files[b], b: files[a]}


Damage = Callable[[Rng, Files], Files]
DAMAGES: tuple[Damage, ...] = (
    _any_file, _plan, _plan, _plan, _field, _field, _field, _field, _kernels, _weights, _exchange,
)  # fmt: skip
