"""Samples in, statistics and units out."""
