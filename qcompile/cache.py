"""A folder of results by the content of what they were made from.

A cache may lose anything at any time and never gives a wrong result: entries carry their checksum,
appear whole or not at all, and are dropped when they do not read back. Any number of processes may
use one folder at once.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qcompile.errors import UsageError

LIMIT = 1 << 30  # bytes; an entry is some tens of kilobytes
_DIGEST = hashlib.sha256().digest_size
_FRESH = ".new-"  # how the names of entries that are still being written begin
_OURS = re.compile(rf"[0-9a-f]{{62}}|{re.escape(_FRESH)}.*")


@dataclass(frozen=True, slots=True)
class Cache:
    """`folder` is made at the first `put`. `trim` keeps it under `limit` bytes."""

    folder: Path
    limit: int = LIMIT

    def get(self, key: str) -> bytes | None:
        """What was put under the key, or None; it then counts as just used."""
        path = self._path(key)
        try:
            entry = path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(entry[_DIGEST:]).digest() != entry[:_DIGEST]:
            path.unlink(missing_ok=True)
            return None
        _touch(path)
        return entry[_DIGEST:]

    def put(self, key: str, value: bytes) -> None:
        """Keeps the value; `UsageError` when the folder cannot be written."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh, name = tempfile.mkstemp(prefix=_FRESH, dir=path.parent)
            with os.fdopen(fresh, "wb") as file:
                file.write(hashlib.sha256(value).digest() + value)
            Path(name).replace(path)
        except OSError as error:
            raise UsageError(
                f"the cache {self.folder} cannot be written ({error}): "
                "name another folder, or compile without a cache"
            ) from error

    def trim(self) -> None:
        """Removes what was not used for longest until the rest is under the limit.

        Files of other names are not the cache's and stay, whatever folder it was given.
        """
        entries = sorted(self._entries(), reverse=True)
        kept = 0
        for _, size, path in entries:
            kept += size
            if kept > self.limit:
                path.unlink(missing_ok=True)

    def _entries(self) -> list[tuple[int, int, Path]]:
        found: list[tuple[int, int, Path]] = []
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            if not _OURS.fullmatch(path.name):
                continue
            try:
                status = path.stat()
            except FileNotFoundError:  # another process removed it
                continue
            found.append((status.st_mtime_ns, status.st_size, path))
        return found

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]


def key(*parts: str | bytes) -> str:
    """A name that only these parts in this order have."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def default_cache(environment: Mapping[str, str]) -> Path | None:
    """$XDG_CACHE_HOME/qcompile, else ~/.cache/qcompile; None where neither can be written."""
    base = environment.get("XDG_CACHE_HOME", "")
    home = environment.get("HOME", "")
    if not Path(base).is_absolute():  # the standard: a relative path is to be ignored
        if not home:
            return None
        base = f"{home}/.cache"
    folder = Path(base, "qcompile")
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return folder if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK) else None


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except (FileNotFoundError, PermissionError):  # removed meanwhile, or a read-only cache
        return
