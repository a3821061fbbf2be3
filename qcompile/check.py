"""The artifact against the reference: bit for bit, and where reals lie between, operator by
operator."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from qcompile.artifact import Artifact, damaged, open_artifact
from qcompile.errors import CheckFailed
from qcompile.golden import compare_golden, load_arrays
from qcompile.ir.graph import Graph
from qcompile.lockstep import Agreement, lockstep
from qcompile.passes.each import Each, uncounted
from qcompile.program.graph_file import read_graph
from qcompile.stepwise import stepwise
from qcompile.targets import target
from qcompile.targets.base import InParts, InSteps

SHOWN = 3  # differences in a message


@dataclass(frozen=True)
class Proof:
    """What was compared, and how equal it was: outputs up to `error` of their norm where
    `tolerance` is allowed, `operators` on equal operands where the runtime can run them apart."""

    tolerance: float = 0.0
    error: float = 0.0
    operators: Agreement | None = None

    def __str__(self) -> str:
        if not self.tolerance:
            return "bit for bit"
        whole = f"outputs within {self.error:.1e} of the interpreter's ({self.tolerance:g} allowed)"
        return whole if self.operators is None else f"{self.operators}; {whole}"


def verify(artifact: Artifact, graph: Graph | None = None, each: Each = uncounted) -> Proof:
    """Runs the golden vectors. `CheckFailed` names the first differing element or operator, or the
    damaged file. `graph` is what the artifact stands for; the artifact's own unless given."""
    broken = damaged(artifact, each)
    if broken:
        difference = _difference_apart(artifact) or "the golden vectors still agree"
        raise CheckFailed(f"{artifact.folder}: {difference} ({'; '.join(broken)})")
    operators = _operators(artifact, graph, each)
    if operators is not None and operators.differences:
        raise CheckFailed(
            f"{artifact.folder}: {len(operators.differences)} operators differ on equal operands: "
            f"{'; '.join(operators.differences[:SHOWN])}"
        )
    compared = compare_golden(artifact.runtime, _golden(artifact), tolerance=_tolerance(artifact))
    if compared.difference is not None:
        proved = f"; {operators}" if operators else ""
        raise CheckFailed(f"{artifact.folder}: {compared.difference}{proved}")
    return Proof(_tolerance(artifact), compared.error, operators)


def _operators(artifact: Artifact, graph: Graph | None, each: Each) -> Agreement | None:
    """Operator by operator, where whole outputs prove little and the runtime can be taken apart."""
    exact = target(str(artifact.manifest["target"])).exact
    runtime = artifact.runtime
    if not (_tolerance(artifact) and exact and isinstance(runtime, InParts | InSteps)):
        return None
    graph = graph or read_graph(artifact.folder)
    columns = load_arrays(_golden(artifact) / "inputs.npz")
    samples = list(zip(*(columns[node.name] for node in graph.inputs), strict=True))
    match runtime:
        case InParts():
            return lockstep(graph, runtime, samples, each)
        case InSteps():
            return stepwise(graph, runtime, samples, each)


def _golden(artifact: Artifact) -> Path:
    return artifact.folder / "golden"


def _tolerance(artifact: Artifact) -> float:
    return float(artifact.manifest.get("tolerance", 0.0))


def _difference_apart(artifact: Artifact) -> str | None:
    """In a process of its own: a damaged library may crash, or never end."""
    command = [sys.executable, "-m", "qcompile.check", str(artifact.folder), str(artifact.threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    except subprocess.TimeoutExpired:
        return "the program does not end"
    if done.returncode < 0:
        return f"the program crashes (signal {-done.returncode})"
    if done.returncode > 0:
        return f"the program does not run: {done.stderr.strip().splitlines()[-1:]}"
    return done.stdout.strip() or None


def main(folder: str, threads: str) -> None:
    """Prints what differs; damage may keep the program from running at all."""
    artifact = open_artifact(Path(folder), threads=int(threads))
    artifact = replace(artifact, manifest={**artifact.manifest, "damaged": True})
    try:
        tolerance = _tolerance(artifact)
        found = compare_golden(artifact.runtime, _golden(artifact), tolerance=tolerance)
        print(found.difference or "")
    except Exception as error:
        print(f"the program does not run: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
