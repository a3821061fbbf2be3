"""Small networks to compile: built from a seed, trained on public data, or filled with noise."""
