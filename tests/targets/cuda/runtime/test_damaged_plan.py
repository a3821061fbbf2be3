"""Every rule of a plan is checked by the runtime itself, under a checksum that holds."""

from pathlib import Path

import pytest

from qcompile.errors import ArtifactError
from qcompile.targets.cuda.plan import Arena, InputOf, OutputOf, Weights
from qcompile.targets.cuda.plan_file import HEADER, encode, sealed
from tests.targets.cuda.forged import at, forged, numbers
from tests.targets.cuda.small_model import PLAN_SMALL, Fake, Place, written

TOO_MUCH = (1 << 40) + 1


@pytest.mark.parametrize(
    ("path", "leaf", "said"),
    [
        (("arena_bytes",), TOO_MUCH, "beyond all limits"),
        (("weights_bytes",), 124, "weights are not whole words"),
        (("inputs", 1, "raw", "shape", 0), TOO_MUCH, "input 1: a size or offset is beyond"),
        (("inputs", 0, "real", "shape"), (1 << 20, 1 << 20), "input 0: the tensor is beyond"),
        (("inputs", 0, "real", "shape"), (1,) * 9, "input 0: rank 9 of 9"),
        (("outputs", 0, "raw", "axis"), 8, "output 0: axis 8 of 8"),
        (("outputs", 0, "raw", "scales"), (0.5, 0.5, 0.5), "output 0: scales do not fit"),
        (("layers", 0, "bits"), 5, "layer 0: bits do not fit the type"),
        (("layers", 0, "bits"), 16, "layer 0: bits do not fit the type"),
        (("layers", 0, "offset"), 241, "layer 0: it lies outside the arena"),
        (("layers", 0, "offset"), 257, "layer 0: it lies outside the arena"),
        (("layers", 1, "offset"), 249, "layer 1: it lies outside the arena"),
        (("layers", 2, "strides", 0), 26, "layer 2: it lies outside the arena"),
        (("layers", 2, "strides", 0), 1 << 40, "layer 2: it lies outside the arena"),
        (("layers", 0, "strides", 0), 0, "layer 0: some of its elements share a place"),
        (("layers", 0, "shape"), (1 << 30, 1), "layer 0: it lies outside the arena"),
        (("images", 0, "file"), "../kernels", "image 0: its file is not in the folder"),
        (("images", 0, "file"), "a/b", "image 0: its file is not in the folder"),
        (("images", 0, "file"), "", "image 0: its file is not in the folder"),
        (("images", 0, "bytes"), 964, "image 0: its file is not whole words"),
        (("images", 1, "entries", "add"), (4, 8), "image 1: a kernel lies outside"),
        (("images", 1, "entries", "add"), (64, 0), "image 1: a kernel lies outside"),
        (("images", 1, "entries", "add"), (320, 8), "image 1: a kernel lies outside"),
        (("images", 1, "entries", "add"), (8, 320), "image 1: a kernel lies outside"),
        (("launches", 0, "grid"), 0, "launch 0: its grid is out of range"),
        (("launches", 0, "grid"), 1 << 31, "launch 0: its grid is out of range"),
        (("launches", 6, "block"), 0, "launch 6: its block is out of range"),
        (("launches", 6, "block"), 1025, "launch 6: its block is out of range"),
        (("launches", 0, "shared"), (256 << 10) + 1, "launch 0: shared memory"),
        (("launches", 0, "phase"), 5, "launch 0: phase 5 of 5"),
        (("launches", 0, "shows"), 3, "launch 0: it shows no layer"),
        (("launches", 0, "shows"), -2, "launch 0: it shows no layer"),
        (("launches", 0, "shown"), 4, "launch 0: it shows no layer"),
        (("launches", 0, "args"), (Arena(0),) * 65, "launch 0: arguments 65 of 65"),
        (("launches", 2, "args", 0), Arena(256), "outside the arena: 256 of 256"),
        (("launches", 2, "args", 1), Weights(128), "outside the weights: 128 of 128"),
        (("launches", 2, "args", 0), InputOf(2), "outside the inputs: 2 of 2"),
        (("launches", 2, "args", 2), OutputOf(1), "outside the outputs: 1 of 1"),
    ],
)
def test_every_rule_is_checked(path, leaf, said: str, place: Place, fake: Fake, tmp_path: Path):
    with pytest.raises(ArtifactError, match=said):
        place.open(written(tmp_path, forged(PLAN_SMALL, path, leaf)))
    assert fake.alive == 0


@pytest.mark.parametrize("count", range(8, len(encode(PLAN_SMALL)) - HEADER, 16))
def test_a_plan_may_not_end_anywhere_else(count: int, place: Place, tmp_path: Path):
    body = encode(PLAN_SMALL)[HEADER:]
    (written(tmp_path) / "plan.bin").write_bytes(sealed(body[:count]))
    with pytest.raises(ArtifactError, match=r"plan\.bin: "):
        place.open(tmp_path)


def test_nothing_may_come_after_a_plan(place: Place, tmp_path: Path):
    data = sealed(encode(PLAN_SMALL)[HEADER:] + b"more")
    (written(tmp_path) / "plan.bin").write_bytes(data)
    with pytest.raises(ArtifactError, match="something after its end"):
        place.open(tmp_path)


def test_a_text_must_end_where_it_says(place: Place, tmp_path: Path):
    body = bytearray(encode(PLAN_SMALL)[HEADER:])
    body[4 + len("small")] = ord("x")
    (written(tmp_path) / "plan.bin").write_bytes(sealed(bytes(body)))
    with pytest.raises(ArtifactError, match="a text does not end"):
        place.open(tmp_path)


def test_a_text_may_not_hold_a_zero(place: Place, tmp_path: Path):
    body = bytearray(encode(PLAN_SMALL)[HEADER:])
    body[5] = 0
    (written(tmp_path) / "plan.bin").write_bytes(sealed(bytes(body)))
    with pytest.raises(ArtifactError, match="a text does not end"):
        place.open(tmp_path)


def test_forging_changes_one_leaf():
    path = ("launches", 2, "args", 1, "offset")
    assert path in set(numbers(PLAN_SMALL))
    changed = forged(PLAN_SMALL, path, 5)
    assert (at(changed, path), at(PLAN_SMALL, path)) == (5, 64)
    assert forged(changed, path, 64) == PLAN_SMALL
