"""Seconds and memory of whole compilations, each in a fresh process.

`python -m tests.bench.compile_time` compiles ResNet-50 with seeded weights on 16 samples, beside
onnxruntime's `quantize_static` on the same; `--gigabytes 3` adds a model of that size whose weights
lie in a file beside it. GPU targets (`--target t4-int4`) are compiled with an empty kernel cache,
with a warm one, and with a warm one without the verification on the emulator.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
import numpy as np
import onnx

from qcompile.models.large import large_model
from qcompile.models.light import seeded_light_model
from qcompile.numerics.npz import write_npz
from qcompile.targets import target as qcompile_target
from qcompile.targets.cuda.target import CudaTarget
from tests.bench.measured import Measured, measured, qcompile

SAMPLES: Final = 16
RUNS: Final[Mapping[bool, Mapping[str, tuple[str, ...]]]] = {
    False: {"": ()},
    True: {" cold": (), " warm": (), " warm, not verified": ("--no-verify",)},
}
PEER: Final = """
import sys, numpy as np
from pathlib import Path
from tests.bench.peers import onnxruntime_static
model, calib, name = map(str, sys.argv[1:])
with np.load(calib) as data:
    samples = [{name: row[None]} for row in data[name]]
onnxruntime_static(Path(model), Path(model).parent, samples, "MinMax")
"""


@click.command()
@click.option("--target", "targets", multiple=True, default=["onnx-int", "x86-int8"])
@click.option("--gigabytes", default=0.0, help="Of a large model; 0 leaves it out.")
@click.option("--resnet50/--no-resnet50", default=True)
def main(targets: tuple[str, ...], gigabytes: float, *, resnet50: bool) -> None:
    """Prints one line for each compilation."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if resnet50:
            compile_resnet50(folder, targets)
        if gigabytes:
            compile_large(folder, gigabytes)


def compile_resnet50(folder: Path, targets: tuple[str, ...]) -> None:
    """Every target, and the peer."""
    model, calib, name = folder / "resnet50.onnx", folder / "calib.npz", "gpu_0/data_0"
    onnx.save(seeded_light_model("resnet50"), model)
    pictures = np.random.default_rng(1).standard_normal((SAMPLES, 3, 224, 224), np.float32)
    write_npz(calib, {name: pictures})
    print(f"ResNet-50, {SAMPLES} samples: seconds and peak memory of a whole compilation")
    for target in targets:
        own: tuple[str, ...] = ("--target", target, "--calib", str(calib), "--json", "--force")
        for run, more in RUNS[is_gpu(target)].items():
            place = folder / target
            done = qcompile(model, *own, *more, "-o", place, XDG_CACHE_HOME=str(folder / "cache"))
            print(f"{f'qcompile {target}{run}':36} {done}{quality(done)}", flush=True)
    peer = measured(["-c", PEER, str(model), str(calib), name])
    print(f"{'onnxruntime quantize_static':36} {peer}")


def is_gpu(target: str) -> bool:
    """Kernels are compiled by NVRTC and cached."""
    return isinstance(qcompile_target(target), CudaTarget)


def quality(done: Measured) -> str:
    """The outputs' decibels and the part of the operations in integers."""
    if done.code:
        return ""
    summary = json.loads(done.out)
    decibels = ", ".join(f"{db:.1f} dB" for db in summary["quality"]["sqnr_db"].values())
    counts = summary["coverage"]
    return f"   {decibels}, {counts['ops_integer']} of {counts['ops_total']} operations in integers"


def compile_large(folder: Path, gigabytes: float) -> None:
    """Memory must not follow the model's size."""
    model = folder / "large.onnx"
    large_model(model, gigabytes)
    weights = model.with_name(model.name + ".data").stat().st_size
    print(f"A chain of products with {weights / 2**30:.2f} GiB of weights beside the model")
    print(f"{'qcompile inspect':28} {qcompile('inspect', model)}", flush=True)
    done = qcompile(model, "--target", "onnx-int", "-o", folder / "large", "--json")
    print(f"{'qcompile onnx-int':28} {done}{quality(done)}")


if __name__ == "__main__":
    main()
