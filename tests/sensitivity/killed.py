"""A process that measures sensitivities and kills itself after so many answers, or not at all.

`python -m tests.sensitivity.killed FOLDER ANSWERS` prints the table's digest if it lives.
"""

import itertools
import os
import signal
import sys
from pathlib import Path

from qcompile.cache import Cache
from qcompile.ir.widths import Widths
from qcompile.sensitivity.estimate import estimator, sensitivities
from tests.helpers import read
from tests.sensitivity.conftest import NET, pictures, studied

OPTIONS = (Widths(2, 8), Widths(4, 4), Widths(8, 8))


def main(folder, answers):
    told = itertools.count(1)

    def say(_):
        if next(told) == answers:
            os.kill(os.getpid(), signal.SIGKILL)

    study = studied(read(NET), pictures(4))
    wanted = study.everywhere(OPTIONS)
    cache = Cache(Path(folder))
    table = sensitivities(study, wanted, by=estimator("output-error"), cache=cache, say=say)
    print(table.digest)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
