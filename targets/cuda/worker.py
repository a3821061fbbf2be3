"""The compiler process: `python worker.py LIBRARY BUILTINS`, NVRTC by ctypes.

Reads one job a line from standard input and answers one line each, both JSON; ends at the end of
its input. It is run as a file and imports the standard library alone, so it starts in milliseconds.
The compiler writes what it likes to standard error.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from base64 import b64encode
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


def main(library: str, builtins: str) -> None:
    """Serves jobs until the input ends. The first line out says that the library is loaded."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever the compiler prints must not be taken for an answer
    nvrtc = Nvrtc(library, builtins)
    print(json.dumps({"ready": library}), file=answers)
    for line in sys.stdin:
        print(json.dumps(_answer(nvrtc, json.loads(line))), file=answers)


class NvrtcError(Exception):
    """The compiler refused the source; the message is its log."""


class Nvrtc:
    """The library's entry points."""

    def __init__(self, library: str, builtins: str) -> None:
        # the wheel's library has no search path of its own and finds its builtins only if loaded
        ctypes.CDLL(builtins)
        self._library = ctypes.CDLL(library)
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p

    def compile(
        self, source: str, *, name: str, options: Sequence[str], headers: Mapping[str, str]
    ) -> tuple[bytes, bytes, str]:
        """Machine code, PTX and the log."""
        with self._program(source, name, headers) as program:
            status = self._library.nvrtcCompileProgram(program, len(options), _strings(options))
            log = self._text(program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
            if status:
                raise NvrtcError(log.strip() or self._message(status))
            ptx = self._text(program, "PTX").rstrip(b"\0")
            return self._text(program, "CUBIN"), ptx, log

    @contextmanager
    def _program(
        self, source: str, name: str, headers: Mapping[str, str]
    ) -> Generator[ctypes.c_void_p]:
        program = ctypes.c_void_p()
        self._call(
            "nvrtcCreateProgram", ctypes.byref(program), source.encode(), name.encode(),
            len(headers), _strings(list(headers.values())), _strings(list(headers)),
        )  # fmt: skip
        try:
            yield program
        finally:
            self._call("nvrtcDestroyProgram", ctypes.byref(program))

    def _text(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{what}", program, buffer)
        return buffer.raw

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            raise NvrtcError(f"{function}: {self._message(status)}")

    def _message(self, status: int) -> str:
        return self._library.nvrtcGetErrorString(status).decode()


def _answer(nvrtc: Nvrtc, job: Mapping[str, Any]) -> dict[str, str]:
    try:
        cubin, ptx, log = nvrtc.compile(
            job["source"], name=job["name"], options=job["options"], headers=job["headers"]
        )
    except NvrtcError as refusal:
        return {"error": str(refusal)}
    return {"cubin": b64encode(cubin).decode(), "ptx": ptx.decode(), "log": log}


def _strings(values: Sequence[str]) -> Any:
    return (ctypes.c_char_p * max(1, len(values)))(*(value.encode() for value in values))


if __name__ == "__main__":
    main(*sys.argv[1:])
