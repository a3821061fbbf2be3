"""A compilation of a small Llama that ends itself by SIGKILL when a step or a state begins so.

python -m tests.driver.killed_at OUTPUT [WORDS] ; without words it goes on with the run, to the end.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np

from qcompile.driver import compile_model
from qcompile.models.llama import Shape
from qcompile.models.llama_shape import llama_graph
from qcompile.options import Options
from qcompile.progress import Progress

SHAPE = Shape(2, 512, 8, 2, 1024, 500, 16, tied=False)


class Until(Progress):
    """Ends the process at the step or the state that begins with these words."""

    def __init__(self, words: str) -> None:
        self._words = words

    def __call__(self, step: str) -> None:
        """A step."""
        if self._words and step.startswith(self._words):
            os.kill(os.getpid(), signal.SIGKILL)

    def tick(self, state: str, share: float | None = None) -> None:
        """A state."""
        self(state)


def main(output: str, words: str = "", *, resume: bool) -> None:
    """Compiles."""
    rng = np.random.default_rng(5)
    calib = [{"tokens": rng.integers(0, SHAPE.vocabulary, (1, 16))} for _ in range(3)]
    options = Options(
        "onnx-int", calib, output=Path(output), recipe="rotate", scheme="W4A8-g128-token",
        resume=resume,
    )  # fmt: skip
    compile_model(llama_graph(SHAPE, 16, peak=2000.0), options, Until(words))


if __name__ == "__main__":
    main(*sys.argv[1:], resume=len(sys.argv) == 2)
