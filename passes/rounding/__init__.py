"""Policies that choose a weight's integers: pure functions on arrays, no graph."""
