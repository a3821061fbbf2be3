"""The interpreter as a target."""
