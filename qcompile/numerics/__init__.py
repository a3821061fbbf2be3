"""Rounding, fixed point, exact sums, packing: pure functions on arrays."""
