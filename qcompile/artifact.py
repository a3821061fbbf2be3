"""The deployable folder: written whole or not at all, read without executing anything."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from qcompile.errors import ArtifactError, UsageError
from qcompile.ir.types import Array
from qcompile.passes.each import Each, uncounted
from qcompile.targets import target
from qcompile.targets.base import Runtime

FORMAT = 2  # constants of graph.qc may lie in other files than blobs.bin
READS = (1, 2)
MANIFEST = "manifest.json"
CHUNK = 1 << 24
_NEEDED = {"format", "target", "inputs", "outputs", "files"}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Artifact:
    """A folder that holds a program, with its manifest."""

    folder: Path
    manifest: Mapping[str, Any]
    threads: int = 1
    summary: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @cached_property
    def runtime(self) -> Runtime:
        """The program by its own runtime, opened once."""
        name = str(self.manifest["target"])
        return target(name).open(self.folder, self.manifest, threads=self.threads)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One sample through the deployed program; reals out."""
        return self.runtime.run(inputs)

    @property
    def digest(self) -> str:
        """SHA-256 over names and contents of all files and over the manifest's own facts."""
        return str(self.manifest["digest"])


def open_artifact(folder: Path, *, threads: int = 1) -> Artifact:
    """The artifact in a folder. `ArtifactError` when it is none, or of a newer format."""
    path = folder / MANIFEST
    try:
        manifest: Any = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(f"{folder} is no artifact: it has no {MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or not manifest.keys() >= _NEEDED:
        raise ArtifactError(f"{path} is not a manifest of qcompile")
    if manifest["format"] not in READS:
        raise ArtifactError(
            f"{path} has format {manifest['format']}, this version reads "
            f"{' and '.join(map(str, READS))}: compile again"
        )
    return Artifact(folder, cast("dict[str, Any]", manifest), threads)


@contextmanager
def written_whole(folder: Path, *, force: bool, mark: str = MANIFEST) -> Generator[Path]:
    """A temporary folder that becomes `folder` when the block ends well, and goes when not.

    What stood there before is replaced only with `force`, only by a finished folder, and only when
    it has the file `mark`.
    """
    require_vacant(folder, force=force, mark=mark)
    folder = Path(os.path.abspath(folder))
    missing = [p for p in folder.parents if not p.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise ArtifactError(f"cannot write beside {folder}: {error.strerror}") from error
    try:
        yield building
        building.chmod(0o755)
        _replace(folder, building)
    except Exception as error:
        if _no_room(error):
            raise ArtifactError(
                f"no room on the disk while writing {folder}: free some, nothing was changed"
            ) from error
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
        _remove_empty(missing)


def require_vacant(folder: Path, *, force: bool, mark: str = MANIFEST) -> None:
    """`UsageError` when something stands there that an artifact may not replace."""
    if not folder.exists():
        above = next(p for p in Path(os.path.abspath(folder)).parents if p.exists())
        if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
            raise UsageError(f"cannot write in {above}: name another place with --output")
        return
    if not force:
        raise UsageError(f"{folder} exists: name another with --output, or pass --force")
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / mark).is_file()):
        raise UsageError(
            f"{folder} exists and is no artifact, since it has no {mark}, and only such are "
            "replaced: name another with --output, or remove it yourself"
        )


def _no_room(error: BaseException | None) -> bool:
    """A full disk lies behind the error; closing a half-written file may have hidden it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def _remove_empty(folders: Iterable[Path]) -> None:
    """Removes folders that were made for the artifact and got none, innermost first."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _replace(folder: Path, building: Path) -> None:
    if not folder.exists():
        os.rename(building, folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    os.rename(folder, aside / folder.name)
    try:
        os.rename(building, folder)
    except OSError:
        os.rename(aside / folder.name, folder)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def seal(folder: Path, facts: Mapping[str, Any], each: Each = uncounted) -> dict[str, Any]:
    """Writes the manifest: facts, every file's size and SHA-256, and the digest of it all."""
    found = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFEST]
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": digest}
        for path, digest in zip(found, sha256_of(found, each), strict=True)
    }
    body = {"format": FORMAT, **facts, "files": files}
    manifest = {**body, "digest": _digest(body)}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def damaged(artifact: Artifact, each: Each = uncounted) -> list[str]:
    """One sentence for each file that is missing or differs from the manifest."""
    found: list[str] = []
    body = {name: fact for name, fact in artifact.manifest.items() if name != "digest"}
    if artifact.manifest.get("digest") != _digest(body):
        found.append(f"{MANIFEST} differs from its own digest")
    files: Mapping[str, Mapping[str, Any]] = artifact.manifest["files"]
    whole: dict[str, Path] = {}
    for name, facts in files.items():
        path = artifact.folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif path.stat().st_size != facts["bytes"]:
            found.append(f"{name} has {path.stat().st_size} bytes, the manifest {facts['bytes']}")
        else:
            whole[name] = path
    for name, digest in zip(whole, sha256_of(list(whole.values()), each), strict=True):
        if digest != files[name]["sha256"]:
            found.append(f"{name} differs from the manifest's SHA-256")
    return found


def sha256(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    return sha256_of([path])[0]


def sha256_of(paths: Sequence[Path], each: Each = uncounted) -> list[str]:
    """The SHA-256 of each file, read in pieces."""
    states = {path: hashlib.sha256() for path in paths}
    pieces = [(p, at) for p in paths for at in range(0, p.stat().st_size, CHUNK)]
    for path, at in each(pieces, "hashing files"):
        with path.open("rb") as file:
            file.seek(at)
            states[path].update(file.read(CHUNK))
    return [states[path].hexdigest() for path in paths]
