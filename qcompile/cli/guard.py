"""What a run ends with: 0 good, 1 our bug, 2 the input's fault, 3 below the bound, 130 stopped."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click

from qcompile.errors import CheckFailed, QcompileError

GOOD, BUG, FAULT, BELOW, STOPPED = 0, 1, 2, 3, 130


def main() -> None:
    """The `qcompile` command."""
    signal.signal(signal.SIGTERM, _terminated)
    code = run(sys.argv[1:])
    sys.exit(_flushed(code))


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; messages go to standard error."""
    from qcompile.cli.app import app

    try:
        result = app.main(list(arguments), prog_name="qcompile", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        return _told("stopped", STOPPED, arguments, kind="Interrupted")
    except BrokenPipeError:
        return _hushed()
    except Exception as error:
        return _failed(error, arguments)
    return result if isinstance(result, int) else GOOD


def _failed(error: Exception, arguments: Sequence[str]) -> int:
    match error:
        case click.ClickException():
            text, code = _usage(error), FAULT
        case CheckFailed():
            text, code = str(error), BELOW
        case QcompileError():
            text, code = _with_notes(error), FAULT
        case MemoryError():
            text = f"out of memory{f': {error}' if str(error) else ''}: use a machine with more, "
            text, code = text + "or fewer --threads", FAULT
        case ModuleNotFoundError(name=str() as name) if not name.startswith("qcompile"):
            text, code = f"this needs the package {name}, which is not installed; see " \
                "`qcompile doctor`", FAULT  # fmt: skip
        case OSError(errno=errno.ENOSPC):
            text, code = f"no room on the disk: {error}; free some and run it again", FAULT
        case _:
            return _bug(error, arguments)
    if "--verbose" in arguments:
        _chain(error)
    return _told(text, code, arguments, kind=type(error).__name__)


def _told(text: str, code: int, arguments: Sequence[str], *, kind: str) -> int:
    """One message on standard error; with --json the same as an object on standard output."""
    print(text if code == STOPPED else f"error: {text}", file=sys.stderr)
    if "--json" in arguments:
        print(json.dumps({"error": {"kind": kind, "message": text, "exit_code": code}}))
    return code


def _usage(error: click.ClickException) -> str:
    """click's message with the command that explains the options."""
    said = error.format_message().rstrip(".")
    said = said[:1].lower() + said[1:]
    if not isinstance(error, click.UsageError):
        return said
    verb = error.ctx.command_path if error.ctx is not None else "qcompile"
    return f"{said}; see {verb.removesuffix(' compile')} --help"


def _with_notes(error: QcompileError) -> str:
    return "; ".join([str(error), *getattr(error, "__notes__", ())])


def _chain(error: BaseException) -> None:
    cause = error.__cause__
    while cause is not None:
        print(f"caused by {type(cause).__name__}: {cause}", file=sys.stderr)
        cause = cause.__cause__


def _bug(error: Exception, arguments: Sequence[str]) -> int:
    """A traceback, and a file that holds what is needed to see it again."""
    import traceback

    from qcompile.cli.repro import write_repro

    traceback.print_exception(error)
    path = write_repro(error, arguments)
    text = (
        f"this is a bug in qcompile, not in your model; repro written to {path}: please report it "
        "with this file and, if you can, the model (the file holds names and shapes, no weights)"
    )
    return _told(text, BUG, arguments, kind=type(error).__name__)


def _hushed() -> int:
    """Nobody reads any more: what is left to say goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return GOOD


def _flushed(code: int) -> int:
    """Flushes now, since a pipe may break at the last line."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _hushed()
    return code


def _terminated(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends by exception, so that half-written folders are removed."""
    raise SystemExit(128 + number)
