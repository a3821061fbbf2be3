"""Execution: steps, buffers, offsets; and graphs as files."""
