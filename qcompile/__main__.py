"""`python -m qcompile` and the `qcompile` command."""

from qcompile.cli import main

if __name__ == "__main__":
    main()
