"""Verbs on an artifact: run it, verify it, find its report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qcompile.artifact import Artifact, damaged, open_artifact
from qcompile.calibrate.samples import open_samples
from qcompile.cli.output import stdout_kept_clean
from qcompile.cli.show import print_json
from qcompile.errors import ArtifactError, CalibrationError, QcompileError, UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.ops.source import Input
from qcompile.ir.types import Array, Scalar, TensorType
from qcompile.numerics.npz import write_npz
from qcompile.progress import Counting, progress


def run_artifact(
    *,
    folder: Path,
    source: str,
    output: Path,
    raw: bool,
    reference: bool,
    threads: int,
    as_json: bool,
) -> None:
    """Every sample alone through the program; results stacked as the samples are."""
    with stdout_kept_clean():
        artifact = open_artifact(folder, threads=threads)
        try:
            results, device = _results(artifact, source, raw=raw, reference=reference)
        except QcompileError:
            raise
        except Exception as error:
            _blame_damage(artifact, error)
            raise
        _write(output, results)
    shapes = {n: {"shape": list(a.shape), "dtype": str(a.dtype)} for n, a in results.items()}
    if as_json:
        found = {"artifact": str(folder), "device": device, "output": str(output)}
        print_json({**found, "outputs": shapes})
        return
    print(f"ran on {device}")
    for name, found in shapes.items():
        print(f"{name}: {found['dtype']} {found['shape']}")
    print(f"written to {output}")


def _blame_damage(artifact: Artifact, error: Exception) -> None:
    """`ArtifactError` when files differ from the manifest: then the program is not to blame."""
    broken = damaged(artifact)
    if broken:
        raise ArtifactError(
            f"{artifact.folder} is damaged: {'; '.join(broken)}; copy it again, or compile again"
        ) from error


def _results(
    artifact: Artifact, source: str, *, raw: bool, reference: bool
) -> tuple[dict[str, Array], str]:
    """The outputs, and what computed them."""
    from qcompile.program.graph_file import read_graph
    from qcompile.targets.reference.target import Interpreter

    takes = signature(artifact)
    if not Path(source).exists():
        raise CalibrationError(f"no sample file at {source}: give x.npz or a folder of them")
    samples = open_samples(source, takes)
    runtime = Interpreter(read_graph(artifact.folder)) if reference else artifact.runtime
    call = runtime.run_raw if raw else runtime.run
    rows: dict[str, list[Array]] = {}
    for sample in samples:
        named = {node.name: value for node, value in zip(takes.inputs, sample, strict=True)}
        for name, value in call(named).items():
            rows.setdefault(name, []).append(np.asarray(value))
    return {name: stack(values) for name, values in rows.items()}, runtime.device


def signature(artifact: Artifact) -> Graph:
    """A graph of the artifact's inputs and nothing behind them: what samples are checked by."""
    try:
        inputs = tuple(_input(entry) for entry in artifact.manifest["inputs"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{artifact.folder}: the manifest's inputs cannot be read: {error!r}; compile again"
        ) from error
    return Graph(str(artifact.folder), inputs, ())


def _input(entry: Mapping[str, Any]) -> Input:
    kind = TensorType(tuple(int(d) for d in entry["shape"]), Scalar(entry["real_dtype"]))
    return Input(kind, name=str(entry["name"]))


def stack(values: list[Array]) -> Array:
    """[N, *rest] when the leading dimension is a batch of 1, else [N, *shape]."""
    if values[0].ndim > 0 and values[0].shape[0] == 1:
        return np.concatenate(values)
    return np.stack(values)


def _write(path: Path, arrays: Mapping[str, Array]) -> None:
    """Written beside and moved into place, so that no half-written file stands there."""
    beside = path.with_name(f".{path.name}.part")
    try:
        write_npz(beside, arrays)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def verify_artifact(folder: Path, *, threads: int, as_json: bool) -> None:
    """Raises `CheckFailed` unless the golden vectors come out bit for bit, or where reals lie
    between the integers operator by operator."""
    from qcompile.check import verify

    artifact = open_artifact(folder, threads=threads)
    with stdout_kept_clean(), progress(quiet=as_json) as say:
        proof = verify(artifact, each=Counting(say))
    if as_json:
        found = {"artifact": str(folder), "device": artifact.runtime.device, "verified": True}
        print_json({**found, "proof": str(proof), "digest": artifact.digest})
        return
    print(f"{folder}: verified on {artifact.runtime.device}: {proof}")


def show_report(folder: Path, output: Path | None, *, as_json: bool) -> None:
    """The page's path, or the facts; with `output` the page is rendered anew."""
    from qcompile.report import PAGE, read_report, render

    open_artifact(folder)
    facts = read_report(folder)
    page = folder / PAGE
    if output is not None:
        page = output
        try:
            page.write_text(render(facts))
        except OSError as error:
            raise UsageError(f"cannot write {page}: {error.strerror}") from error
    if as_json:
        print_json(facts)
        return
    print(page)
