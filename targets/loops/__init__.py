"""Graphs as loop nests: what every back end of kernels shares, whatever it generates."""
