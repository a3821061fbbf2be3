"""The artifact against the reference, bit for bit."""

from __future__ import annotations

from qcompile.artifact import Artifact, damaged
from qcompile.errors import CheckFailed
from qcompile.golden import compare_golden


def verify(artifact: Artifact) -> None:
    """Runs the golden vectors. `CheckFailed` names the first differing element, or damaged file."""
    broken = damaged(artifact)
    difference = _difference(artifact, broken)
    if difference is not None:
        cause = f" ({'; '.join(broken)})" if broken else ""
        raise CheckFailed(f"{artifact.folder}: {difference}{cause}")
    if broken:
        raise CheckFailed(f"{artifact.folder}: {'; '.join(broken)}; the golden vectors still agree")


def _difference(artifact: Artifact, broken: list[str]) -> str | None:
    """What differs on the golden vectors; damage may keep the program from running at all."""
    try:
        tolerance = float(artifact.manifest["tolerance"])
        return compare_golden(artifact.runtime, artifact.folder / "golden", tolerance=tolerance)
    except Exception as error:
        if not broken:
            raise
        return f"the program does not run: {error}"
