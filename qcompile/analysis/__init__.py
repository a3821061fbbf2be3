"""What can be proved of a graph without running it."""
