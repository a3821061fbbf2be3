"""The state of a run while it is under way: --resume goes on with the same run or not at all.

What a run finds is kept in the cache by its content and needs no state. The state only says which
run it was, so that nobody takes another one's artifact for its continuation.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from qcompile.cache import default_cache
from qcompile.calibrate.samples import open_samples
from qcompile.digests import samples_digest
from qcompile.errors import UsageError
from qcompile.job import Job
from qcompile.options import Options
from qcompile.plan_choices import model_digest

RUNS, STATE = "runs", "run.json"


@dataclass(frozen=True)
class Run:
    """A run that is under way. `folder` holds its state; None where there is no cache."""

    folder: Path | None

    def finish(self) -> None:
        """Nothing is left to resume."""
        if self.folder is None:
            return
        (self.folder / STATE).unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def begin(job: Job, output: Path) -> Run:
    """Writes down which run to `output` begins. With `resume` one must have been ended before, and
    be the same: `UsageError` names what differs."""
    cache = default_cache(os.environ)
    own = identity(job)
    if cache is None:
        if job.options.resume:
            raise UsageError("--resume: no folder to keep results in: set XDG_CACHE_HOME")
        return Run(None)
    folder = cache / RUNS / hashlib.sha256(os.path.abspath(output).encode()).hexdigest()
    if job.options.resume:
        _require_same(_state(folder / STATE, output), own)
        job.say(f"resuming the run to {output}")
    _write(folder / STATE, own)
    return Run(folder)


def identity(job: Job) -> dict[str, str]:
    """What the run's result depends on, each under the name that the user knows."""
    options = job.options
    samples = None if options.calib is None else open_samples(options.calib, job.real)
    return {
        "the model": model_digest(job.real),
        "the samples": "none" if samples is None else samples_digest(samples),
        "qcompile": version("qcompile"),
        **{f"--{name}": text for name, text in _asked(options).items()},
    }


def _asked(options: Options) -> dict[str, str]:
    """Options that change the result, as texts."""
    kept: Mapping[str, Any] = {
        **options.identity,
        "bits": options.bits,
        "budget": dict(options.budget),
        "max-drop": options.max_drop,
        "metric": options.metric_name,
        "float-layers": options.float_layers,
        "estimator": options.estimator,
        "plan": _content(options.plan),
        "latency-table": _content(options.latency_table),
    }
    return {name: json.dumps(value, sort_keys=True) for name, value in kept.items()}


def _content(path: Path | None) -> str | None:
    """A file's digest; None for none, and for one that is not there, which is said elsewhere."""
    if path is None or not path.is_file():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _state(path: Path, output: Path) -> Mapping[str, object]:
    """What the ended run wrote down."""
    try:
        found: object = json.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(
            f"--resume: no run to {output} was ended before it was done: leave --resume out"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"--resume: {path} cannot be read: {error}: leave --resume out") from error
    if not isinstance(found, dict):
        raise UsageError(f"--resume: {path} holds no run: leave --resume out")
    return cast("dict[str, object]", found)


def _require_same(before: Mapping[str, object], now: Mapping[str, str]) -> None:
    """`UsageError` for a run of another model, other samples, options or version."""
    differing = [name for name in now if before.get(name) != now[name]]
    if not differing:
        return
    shown = [
        f"{name} ({before.get(name)} then, {now[name]} now)" if name.startswith("--") else name
        for name in differing
    ]
    raise UsageError(
        f"--resume: the run that was ended differs in {', '.join(shown)}: give the same, or leave "
        "--resume out to begin anew"
    )


def _write(path: Path, state: Mapping[str, str]) -> None:
    """The state appears whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{STATE}.{os.getpid()}")
        fresh.write_text(json.dumps(state, indent=1) + "\n")
        fresh.replace(path)
    except OSError as error:
        raise UsageError(
            f"the cache {path.parent} cannot be written ({error}): free some room, or set "
            "XDG_CACHE_HOME to another folder"
        ) from error
