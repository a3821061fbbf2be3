"""Tour, 5 of 7: the integer graph is the definition; every target equals it bit for bit.

`compile` reads, simplifies, calibrates, quantizes, emits, and verifies the artifact on golden
vectors. Here one model goes to several targets, and their outputs are compared as integers.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

import qcompile
from qcompile.errors import CheckFailed
from qcompile.ir.dims import static
from tests.strategies import random_graph

model = random_graph(2)
rng = np.random.default_rng(0)
shape = static(model.inputs[0].type.shape)
pictures = [{"x": rng.standard_normal(shape).astype(np.float32)} for _ in range(9)]


def built(target: str, folder: Path) -> qcompile.Artifact:
    return qcompile.compile(model, target=target, calib=pictures, output=folder / target)


def test_onnxruntime_gives_the_bits_of_the_interpreter(tmp_path: Path):
    reference, onnx = built("reference", tmp_path), built("onnx-int", tmp_path)
    wanted, found = ([a.run(p)["y"] for p in pictures] for a in (reference, onnx))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_compiled_kernels_give_the_bits_of_the_interpreter(tmp_path: Path):
    reference, native = built("reference", tmp_path), built("x86-int8", tmp_path)
    wanted, found = ([a.run(p)["y"] for p in pictures] for a in (reference, native))
    np.testing.assert_array_equal(found, wanted)


# An artifact is a plain folder: the same input gives the same bytes, and the digest says so.
def test_compiling_twice_gives_the_same_digest(tmp_path: Path):
    first, second = built("reference", tmp_path / "a"), built("reference", tmp_path / "b")
    assert first.digest == second.digest


# One flipped bit in a weight does not go unnoticed.
def test_a_damaged_artifact_fails_verification(tmp_path: Path):
    from qcompile.check import verify

    artifact = built("reference", tmp_path)
    blobs = artifact.folder / "blobs.bin"
    data = bytearray(blobs.read_bytes())
    data[0] ^= 1
    blobs.write_bytes(data)
    with pytest.raises(CheckFailed, match=r"blobs\.bin differs from the manifest"):
        verify(qcompile.open_artifact(artifact.folder))
