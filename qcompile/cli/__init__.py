"""The command line: arguments → Options → compile(); errors → one message and an exit code."""

from qcompile.cli.guard import main

__all__ = ["main"]
