"""Sketches keep products: exactly where vectors are short, nearly where they are long."""

import numpy as np
import torch

from qcompile.sensitivity.sketch import LENGTH, Sketcher


def sketch(sketcher, lengths, vector):
    parts = torch.split(torch.from_numpy(vector), list(lengths))
    return torch.stack([sketcher.part(i, part) for i, part in enumerate(parts)]).sum(0).numpy()


def test_short_vectors_stay_as_they_are():
    rng = np.random.default_rng(1)
    x = rng.standard_normal(70)
    sketcher = Sketcher((20, 50))
    assert sketcher.exact
    np.testing.assert_array_equal(sketch(sketcher, (20, 50), x), x)


def test_products_of_long_vectors_are_kept_nearly():
    rng = np.random.default_rng(2)
    lengths = (30_000, 50_000)
    x, noise = rng.standard_normal((2, 80_000))
    y = 0.6 * x + 0.8 * noise
    sketcher = Sketcher(lengths)
    assert not sketcher.exact
    a, b = (sketch(sketcher, lengths, v) for v in (x, y))
    assert len(a) == LENGTH
    allowed = 4 * np.sqrt(2 / LENGTH) * np.linalg.norm(x) * np.linalg.norm(y)
    assert abs(a @ b - x @ y) < allowed


def test_the_same_part_is_sketched_in_the_same_way():
    x = torch.ones(LENGTH + 5)
    one, two = (Sketcher((LENGTH + 5,)).part(0, x) for _ in range(2))
    assert torch.equal(one, two)
