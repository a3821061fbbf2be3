"""Scales and rotations recover what planted outliers cost; the bench prints it line by line."""

import re

import pytest
from click.testing import CliRunner

from tests.bench.transforms import main

EVERY = ["llama", "vit", "mamba"]
RIGHT = "% right"


def scores(network: str, scheme: str, recipe: str, rows: int = 24) -> tuple[float, float]:
    """What the bench prints for the real network and for the quantized one."""
    asked = ["--network", network, "--scheme", scheme, "--recipe", recipe, "--rows", str(rows)]
    printed = CliRunner().invoke(main, asked, catch_exceptions=False).output
    real, found = re.findall(rf"([\d.]+) (?:perplexity|{RIGHT})", printed)
    return float(real), float(found)


def lost(network: str, scheme: str, recipe: str) -> float:
    """Perplexity or percent right, by how much it is worse."""
    real, found = scores(network, scheme, recipe)
    return abs(found - real)


def test_prints_the_real_network_and_each_recipe():
    real, found = scores("llama", "W8A8-tensor", "none", rows=2)
    assert 1 < real < found


@pytest.mark.slow
@pytest.mark.parametrize("network", EVERY)
def test_scales_bring_eight_bits_to_within_a_hundredth_of_the_real_network(network: str):
    real, found = scores(network, "W8A8-tensor", "smooth")
    assert found == pytest.approx(real, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("network", EVERY)
def test_the_best_at_each_site_loses_a_quarter_or_less_of_four_bits(network: str):
    nothing_done = lost(network, "W4A4-token", "none")
    assert 4 * lost(network, "W4A4-token", "best") <= nothing_done
