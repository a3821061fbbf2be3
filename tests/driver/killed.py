"""A compilation that ends itself by SIGKILL when the cache has got so many results.

python -m tests.driver.killed RESULTS ARGUMENTS...
"""

import os
import signal
import sys

from qcompile.cache import Cache
from qcompile.cli.guard import run

put = Cache.put
results = int(sys.argv[1])
got = 0


def counted(self: Cache, key: str, value: bytes) -> None:
    """Keeps the value, and ends when it was the last one."""
    global got
    put(self, key, value)
    got += 1
    if got == results:
        os.kill(os.getpid(), signal.SIGKILL)


Cache.put = counted
sys.exit(run(sys.argv[2:]))
