"""The artifact against the reference, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from qcompile.artifact import Artifact, damaged, open_artifact
from qcompile.errors import CheckFailed
from qcompile.golden import compare_golden


def verify(artifact: Artifact) -> None:
    """Runs the golden vectors. `CheckFailed` names the first differing element, or damaged file."""
    broken = damaged(artifact)
    difference = _difference_apart(artifact) if broken else _difference(artifact)
    if difference is not None:
        cause = f" ({'; '.join(broken)})" if broken else ""
        raise CheckFailed(f"{artifact.folder}: {difference}{cause}")
    if broken:
        raise CheckFailed(f"{artifact.folder}: {'; '.join(broken)}; the golden vectors still agree")


def _difference(artifact: Artifact) -> str | None:
    tolerance = float(artifact.manifest.get("tolerance", 0.0))
    return compare_golden(artifact.runtime, artifact.folder / "golden", tolerance=tolerance)


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
        print(_difference(artifact) or "")
    except Exception as error:
        print(f"the program does not run: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
