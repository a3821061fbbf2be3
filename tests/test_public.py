"""What `import qcompile` offers."""

import subprocess
import sys

import qcompile


def test_every_public_name_is_there():
    assert all(hasattr(qcompile, name) for name in qcompile.__all__)


def test_load_stays_a_function_once_the_compiler_is_imported():
    code = "import qcompile, qcompile.driver; assert callable(qcompile.load)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
