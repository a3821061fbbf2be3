"""Machine code → counts of its instructions, where a disassembler is installed."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from qcompile.errors import ToolchainError

PACKAGE = "nvidia-cuda-nvdisasm"
_LABEL = re.compile(r"^(\.L_\w+):", re.MULTILINE)
_BRANCH = re.compile(r"BRA `\((\.L_\w+)\)")
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*)((?:\.\w+)*)")


def disassembler() -> Path | None:
    """nvdisasm of the package, or None: it is optional and no target needs it."""
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        return None
    files = [Path(str(package.locate_file(file))) for file in package.files or ()]
    return next((path for path in files if path.name == "nvdisasm"), None)


def sass(cubin: bytes, program: Path) -> str:
    """The machine code as text; `ToolchainError` when the disassembler refuses it."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "kernel.cubin")
        image.write_bytes(cubin)
        said = subprocess.run(
            [program, "--print-code", image], capture_output=True, text=True, check=False
        )
    if said.returncode:
        raise ToolchainError(f"{program} does not read the machine code: {said.stderr.strip()}")
    return said.stdout


def sass_counts(text: str) -> Mapping[str, int]:
    """How often each instruction stands in the disassembly, by its name without modifiers (IMMA,
    LDSM, LDGSTS); local memory is LDL and STL. What is not there counts 0."""
    return Counter(name for name, _ in _INSTRUCTION.findall(text))


def sass_forms(text: str, name: str) -> Mapping[str, int]:
    """The same of one instruction, by its full form (IMMA.8832.S4.S4)."""
    found = _INSTRUCTION.findall(text)
    return Counter(name + modifiers for base, modifiers in found if base == name)


def behind_products(text: str) -> str:
    """What follows the loop with the last IMMA, to the end: a contraction's finishing."""
    last = text.rindex("IMMA")
    begins = {label[1]: label.start() for label in _LABEL.finditer(text)}
    backward = (
        branch.end()
        for branch in _BRANCH.finditer(text, last)
        if begins.get(branch[1], len(text)) < last
    )
    return text[next(backward, last) :]
