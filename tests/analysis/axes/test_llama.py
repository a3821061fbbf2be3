"""The sites of a Llama block are those of QuaRot, SmoothQuant and AWQ, and all are exact."""

import pytest

from qcompile.analysis.axes import (
    Group,
    Site,
    permutation_sites,
    rotation_sites,
    scaling_sites,
)
from qcompile.passes.fold_norm_scales import FoldNormScales
from tests.analysis.axes.random_maps import difference, transformed
from tests.analysis.axes.transformers import llama

BLOCK = FoldNormScales().run(llama(q_heads=6))
ROTATIONS = rotation_sites(BLOCK)
SCALINGS = scaling_sites(BLOCK)
PERMUTATIONS = permutation_sites(BLOCK)


def test_matrices_act_on_the_stream_the_pairs_of_q_and_k_and_the_values():
    found = [(s.name, s.role, s.group, s.size, s.blocks) for s in ROTATIONS]
    assert found == [
        ("embed", "R1", Group.ORTHOGONAL, 16, ()),
        ("l0.q", "", Group.PAIR, 2, (2, 2)),
        ("l0.v", "R2", Group.GENERAL, 4, (2,)),
    ]


def test_there_are_six_scales():
    found = [(s.name, s.size, s.blocks) for s in SCALINGS]
    assert found == [
        ("l0.n1", 16, ()),
        ("l0.q", 2, (2,)),
        ("l0.mix", 4, (2,)),
        ("l0.n2", 16, ()),
        ("l0.act", 20, ()),
        ("last", 16, ()),
    ]


def test_the_stream_has_all_its_readers_and_writers():
    signs = {m.value.name: int(m.exponent) for m in ROTATIONS[0].absorbs}
    reads = dict.fromkeys(("l0.q.w", "l0.k.w", "l0.v.w", "l0.up.w", "l0.gate.w", "head.w"), -1)
    writes = dict.fromkeys(("embed.w", "l0.o.w", "l0.down.w"), 1)
    assert signs == reads | writes


@pytest.mark.parametrize("site", [*ROTATIONS, *SCALINGS, *PERMUTATIONS], ids=str)
def test_each_site_keeps_the_meaning(site: Site):
    assert difference(BLOCK, transformed(BLOCK, site)) < 1e-9
