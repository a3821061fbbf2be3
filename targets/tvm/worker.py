"""The compiler process: `python -m qcompile.targets.tvm.worker job.pickle …`.

TVM's foreign function layer imports torch when it finds it, which takes longer than TVM itself and
serves nothing here: this process has none.
"""

import pickle
import sys
from pathlib import Path


def main(jobs: list[str]) -> None:
    """Compiles each job to an object file beside it; the jobs were written by our own parent."""
    sys.modules["torch"] = None  # type: ignore[assignment]
    from qcompile.targets.tvm.compiler import compile_nests

    for job in map(Path, jobs):
        nests, isa = pickle.loads(job.read_bytes())
        compile_nests(nests, isa, job.with_suffix(".o"))


if __name__ == "__main__":
    main(sys.argv[1:])
