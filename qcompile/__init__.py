"""qcompile: one integer program, the same bits everywhere."""
