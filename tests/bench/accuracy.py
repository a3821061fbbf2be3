"""What eight and four bits cost, beside what they cost with other quantizers on the same samples.

`python -m tests.bench.accuracy` measures ResNet-20 on the 500 pictures in `models/`, and with
`--fashion DIR` on all 10 000 (see `models/fashion.py` for the files), under every `--scheme`, with
calibration data and without. `--model FILE --calib FILE --test FILE` compares qcompile, onnxruntime
and NNCF on another model; a test file may hold `label`. `--alone` leaves the others out.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import click
import numpy as np

import qcompile
from qcompile.ir.types import Array
from qcompile.models.fashion import normalise, read_test
from qcompile.options import ROUNDINGS
from tests.bench import peers
from tests.bench.peers import METHODS, Sample, agreement, outputs, sqnr_db

MODELS: Final = Path(__file__).parents[2] / "models"
RESNET20: Final = MODELS / "resnet20_fashion.onnx"
SCHEMES: Final = ("W8A8", "W4A8", "W4A4")
Row = tuple[str, Callable[[], Array | None]]


@dataclass(frozen=True)
class Place:
    """What is compiled for, under which schemes, and how weights are rounded."""

    target: str
    schemes: tuple[str, ...]
    rounding: str = "nearest"


@click.command()
@click.option("--fashion", type=click.Path(path_type=Path), help="Folder of Fashion-MNIST.")
@click.option("--model", type=click.Path(path_type=Path), help="Another model to compare on.")
@click.option("--calib", type=click.Path(path_type=Path), help="Its samples, x.npz.")
@click.option("--test", type=click.Path(path_type=Path), help="Its test samples, x.npz.")
@click.option("--samples", default=32, help="Of the calibration samples, for everyone.")
@click.option("--target", default="x86-int8", help="An exact target; all give the same numbers.")
@click.option("--scheme", "schemes", multiple=True, default=SCHEMES, help="Repeatable.")
@click.option("--rounding", type=click.Choice(ROUNDINGS), default="nearest")
@click.option("--alone", is_flag=True, help="Only qcompile.")
def main(
    fashion: Path | None,
    model: Path | None,
    calib: Path | None,
    test: Path | None,
    samples: int,
    target: str,
    schemes: tuple[str, ...],
    rounding: str,
    alone: bool,
) -> None:
    """Prints accuracy lost on ResNet-20, or the comparison on another model."""
    place = Place(target, schemes, rounding)
    with tempfile.TemporaryDirectory() as folder:
        if model is None or calib is None or test is None:
            resnet20(fashion, Path(folder), place)
            return
        rivals = no_rivals if alone else others
        compare(model, calib, test, samples, Path(folder), place, rivals)


def resnet20(fashion: Path | None, folder: Path, place: Place) -> None:
    """Float, then each scheme with samples and without: accuracy and decibels of the logits."""
    x, labels = pictures(fashion)
    rows = [{"x": x[i : i + 1]} for i in range(len(x))]
    wanted = outputs(RESNET20, rows)
    score = accuracy(wanted, labels)
    print(f"ResNet-20, {len(rows)} pictures of Fashion-MNIST, {place.target}")
    print(f"{'float, onnxruntime':28} {score:6.2f} %")
    sources = (("with data", MODELS / "resnet20_fashion_calib.npz"), ("data-free", None))
    for scheme, (name, calib) in product(place.schemes, sources):
        logits = by_qcompile(RESNET20, calib, rows, folder / scheme / name, place, scheme)
        found, db = accuracy(logits, labels), sqnr_db(wanted, logits)
        line = f"{f'{scheme} {name}':28} {found:6.2f} %  drop {score - found:+.2f} points"
        print(f"{line}  {db:6.2f} dB", flush=True)


def pictures(fashion: Path | None) -> tuple[Array, Array]:
    """All test pictures, or the committed ones."""
    if fashion is not None:
        test = read_test(fashion)
        return normalise(test.pixels), test.labels
    with np.load(MODELS / "resnet20_fashion_test.npz") as data:
        return data["x"], data["label"]


def accuracy(logits: Array, labels: Array) -> float:
    """Percent right."""
    return 100 * float(np.mean(logits.argmax(1) == labels))


def by_qcompile(
    model: Path, calib: object, rows: list[Sample], folder: Path, place: Place, scheme: str
) -> Array:
    """The artifact's outputs."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    artifact = qcompile.compile(
        model, target=place.target, calib=calib, output=folder, scheme=scheme,
        rounding="nearest" if calib is None else place.rounding,
    )  # fmt: skip
    name = str(artifact.manifest["outputs"][0]["name"])
    return np.concatenate([artifact.run(row)[name] for row in rows])


def compare(
    model: Path,
    calib: Path,
    test: Path,
    count: int,
    folder: Path,
    place: Place,
    rivals: Callable[[Path, list[Sample], list[Sample], Path], list[Row]],
) -> None:
    """A table: who, decibels of the logits, how often the float model's class, accuracy."""
    with np.load(calib) as data:
        given = [{"x": row[None]} for row in data["x"][:count]]
    with np.load(test) as data:
        rows = [{"x": row[None]} for row in data["x"]]
        labels = data["label"] if "label" in data.files else None
    wanted = outputs(model, rows)
    print(f"{model.name}: {len(given)} calibration samples, {len(rows)} test samples")
    print(f"{'quantizer':28} {'SQNR dB':>8} {'same class %':>13} {'right %':>8} {'seconds':>8}")
    show("float, onnxruntime", wanted, wanted, labels, 0.0)
    own = ours(model, given, rows, folder, place)
    for name, quantized in [*own, *rivals(model, given, rows, folder)]:
        start = time.perf_counter()
        found = quantized()
        if found is not None:
            show(name, wanted, found, labels, time.perf_counter() - start)


def ours(
    model: Path, given: list[Sample], rows: list[Sample], folder: Path, place: Place
) -> list[Row]:
    """Each scheme with samples and without, as functions that give their outputs."""

    def row(scheme: str, name: str, calib: object) -> Row:
        spot = folder / scheme / name
        return (
            f"qcompile {scheme} {name}",
            lambda: by_qcompile(model, calib, rows, spot, place, scheme),
        )

    sources = (("with data", given), ("data-free", None))
    return [row(scheme, *source) for scheme, source in product(place.schemes, sources)]


def no_rivals(model: Path, given: list[Sample], rows: list[Sample], folder: Path) -> list[Row]:
    """Nobody."""
    return []


def others(model: Path, given: list[Sample], rows: list[Sample], folder: Path) -> list[Row]:
    """onnxruntime's calibrators and NNCF, each as a function that gives its outputs."""

    def theirs(method: str) -> Array:
        return outputs(peers.onnxruntime_static(model, folder, given, method), rows)

    def nncf() -> Array | None:
        path = peers.nncf_quantize(model, folder, given)
        return None if path is None else outputs(path, rows)

    rivals: list[Row] = [(f"onnxruntime {m}", lambda m=m: theirs(m)) for m in METHODS]
    return [*rivals, ("NNCF", nncf)]


def show(name: str, wanted: Array, found: Array, labels: Array | None, seconds: float) -> None:
    """One row."""
    db = "" if found is wanted else f"{sqnr_db(wanted, found):.2f}"
    right = "" if labels is None else f"{accuracy(found, labels):.1f}"
    same = agreement(wanted, found)
    print(f"{name:28} {db:>8} {same:13.1f} {right:>8} {seconds:8.1f}", flush=True)


if __name__ == "__main__":
    main()
