"""What the analysis finds in each family of networks, and what it must refuse."""

from collections.abc import Callable

import pytest

from qcompile.analysis.axes import Group, ShiftSite, Site, Survey
from qcompile.ir.graph import Graph
from qcompile.passes.expose_sites import ExposeSites
from tests.analysis.axes.convolutional import grouped, mamba, mobilenet, resnet, unet
from tests.analysis.axes.random_maps import difference, transformed
from tests.analysis.axes.transformers import bert, gemma, gpt2, llama, mla, moe, vit

O, GL, PAIR = Group.ORTHOGONAL, Group.GENERAL, Group.PAIR  # noqa: E741 - as in the literature


def qwen() -> Graph:
    """Llama with norms of q and k for each head."""
    return llama(normed=True, kv_heads=4)


def grouped_queries() -> Graph:
    """Six heads of queries read two of keys and values."""
    return llama(q_heads=6, kv_heads=2)


def mobilenet_of_relu() -> Graph:
    """Without a cap."""
    return mobilenet(capped=False)


NETWORKS = [
    llama, grouped_queries, qwen, gpt2, vit, bert, gemma, mla, moe, mamba, resnet, mobilenet,
    mobilenet_of_relu, unet, grouped,
]  # fmt: skip
SURVEYS = {make.__name__: Survey(ExposeSites().run(make())) for make in NETWORKS}

ROTATIONS = {
    llama: [("embed", O, 16, ()), ("l0.q", PAIR, 2, (2, 2)), ("l0.v", GL, 4, (2,))],
    grouped_queries: [("embed", O, 16, ()), ("l0.q", PAIR, 2, (2, 2)), ("l0.v", GL, 4, (2,))],
    qwen: [("embed", O, 16, ()), ("l0.v", GL, 4, (4,))],
    gpt2: [("embed", O, 16, ()), ("a.q", GL, 4, (3,)), ("a.v", GL, 4, (3,))],
    vit: [("patch", O, 16, ()), ("qkv", GL, 4, (3,)), ("qkv:2", GL, 4, (3,))],
    bert: [("a.q", GL, 4, (3,)), ("a.v", GL, 4, (3,))],
    gemma: [("a.q", GL, 4, (3,)), ("a.v", GL, 4, (3,))],
    mla: [
        ("embed", O, 16, ()),
        ("q", GL, 4, (2,)),
        ("q:2", PAIR, 2, (2,)),
        ("kv_a", O, 6, ()),
        ("v_b", GL, 4, (2,)),
    ],
    moe: [("embed", O, 16, ())],
    mamba: [("embed", O, 16, ()), ("x_proj", GL, 2, ())],
    resnet: [],
    mobilenet: [("stem", GL, 4, ()), ("b2.project", GL, 6, ())],
    mobilenet_of_relu: [("stem", GL, 4, ()), ("b2.project", GL, 6, ())],
    unet: [("up", GL, 5, ()), ("dec", GL, 4, ())],
    grouped: [("a", GL, 3, (2,)), ("b", GL, 3, (2, 2)), ("c", GL, 3, (2, 2))],
}
SCALES = {
    llama: "l0.n1 l0.q l0.mix l0.n2 l0.act last",
    grouped_queries: "l0.n1 l0.q l0.mix l0.n2 l0.act last",
    qwen: "l0.n1 l0.qn l0.mix l0.n2 l0.act last",
    gpt2: "n1.scaled a.q a.mix n2.scaled last.scaled",
    bert: "a.q a.mix n2",
    gemma: "n1 a.q a.mix n2 m.act last",
    mla: "n1 q q:2 kv_norm mix last",
    moe: "n1 shared.act e0.act e1.act e2.act last",
    mamba: "n1 in x_proj slice17 last",
    resnet: "pool inside1 inside2 reshape28",
    mobilenet: "stem b2.project reshape32",
    mobilenet_of_relu: "stem b1.expand b1.d b2.expand b2.d b2.project reshape32",
    unet: "pool bottom joined dec",
    grouped: "a b c",
}

PLAIN = {make.__name__: Survey(make()) for make in NETWORKS}
SHIFTS = {
    llama: {"l0.mix": "l0.v+ l0.mix+"},
    grouped_queries: {"l0.mix": "l0.v+ l0.mix+"},
    qwen: {"l0.mix": "l0.v+ l0.mix+"},
    gpt2: {"n1": "n1+", "a.mix": "a.v+ a.mix+", "n2": "n2+"},
    vit: {"n1": "n1+", "n2": "n2+", "reshape51": "last+"},
    bert: {
        "n0": "n0+ a.o-",
        "a.mix": "a.v+ a.mix+",
        "n1": "n1+ down-",
        "n2": "n2+",
    },
    gemma: {"a.mix": "a.v+ a.mix+"},
    mla: {"mix": "v_b+ mix+"},
    moe: {},
    mamba: {"slice17": "x_proj+"},
    resnet: {},
    mobilenet: {
        "stem": "stem+ b1.project-",
        "narrow1": "b1.project+ narrow1+",
        "b2.project": "b2.project+",
    },
    unet: {"dec": "dec+"},
    grouped: {"c": "c+"},
}


def survey(make: Callable[..., Graph]) -> Survey:
    return SURVEYS[make.__name__]


def name_of(value: object) -> str:
    return getattr(value, "__name__", str(value)[:30] if isinstance(value, str) else "")


@pytest.mark.parametrize(("make", "wanted"), ROTATIONS.items(), ids=name_of)
def test_matrices_act_here(
    make: Callable[..., Graph], wanted: list[tuple[str, Group, int, tuple[int, ...]]]
):
    found = [(s.name, s.group, s.size, s.blocks) for s in survey(make).rotations]
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize(("make", "wanted"), SCALES.items(), ids=name_of)
def test_scales_act_here(make: Callable[..., Graph], wanted: str):
    assert sorted(s.name for s in survey(make).scalings) == sorted(wanted.split())


def moved(site: ShiftSite) -> str:
    named = [(m.value.name, m.exponent) for m in site.edges if m.value.name]
    return " ".join(f"{name}{'+' if exponent > 0 else '-'}" for name, exponent in named)


@pytest.mark.parametrize(("make", "wanted"), SHIFTS.items(), ids=name_of)
def test_shifts_act_here(make: Callable[..., Graph], wanted: dict[str, str]):
    assert {s.name: moved(s) for s in PLAIN[make.__name__].shifts} == wanted


UNSHIFTED = [
    (llama, "l0.n1", "rms_norm adds nothing of its own"),
    (llama, "l0.act", "mul is taken of each index apart"),
    (gpt2, "act", "gelu is taken of each index apart"),
    (vit, "image", "it is the graph's input image"),
    (mamba, "pad9", "pad puts 0 around it"),
    (resnet, "sum1", "relu is taken of each index apart"),
]


@pytest.mark.parametrize(("make", "name", "why"), UNSHIFTED, ids=name_of)
def test_no_shift_acts_here_and_it_says_why(make: Callable[..., Graph], name: str, why: str):
    found = {edge.name: [b.why for b in edge.blockers] for edge in PLAIN[make.__name__].unshifted}
    assert why in found[name]


REFUSED = [
    (bert, "n0", "the norm's scale is not folded into what reads it"),
    (bert, "n0", "the norm subtracts the mean: centre what writes the stream first"),
    (bert, "act", "gelu is taken of each index apart"),
    (gemma, "embed", "the norm's scale is not folded into what reads it"),
    (gemma, "m.act", "mul multiplies each index by its own number"),
    (llama, "l0.gate", "silu is taken of each index apart"),
    (qwen, "l0.q", "the norm treats what lies along it apart"),
    (mamba, "in", "conv keeps 6 groups apart"),
    (resnet, "sum1", "relu is taken of each index apart"),
    (mobilenet, "b1.expand", "clip is taken of each index apart"),
    (unet, "skip", "max_pool is taken of each index apart"),
    (grouped, "a", "conv keeps 2 groups apart"),
    (moe, "head", "it is the graph's output y"),
]


@pytest.mark.parametrize(("make", "name", "why"), REFUSED, ids=name_of)
def test_nothing_acts_here_and_it_says_why(make: Callable[..., Graph], name: str, why: str):
    found = {s.name: [b.why for b in s.blockers] for s in survey(make).refused_rotations}
    assert why in found[name]


ONLINE = [
    (llama, {"l0.mix": "", "l0.act": "R4", "l0.qr": "R3"}),
    (qwen, {"l0.mix": "", "l0.act": "R4", "l0.qr": "R3"}),
    (gpt2, {"a.mix": "", "act": ""}),
    (bert, {"n0": "", "a.mix": "", "n1": "", "act": "", "n2": ""}),
    (resnet, dict.fromkeys(("image", "pool", "inside1", "sum1", "inside2", "reshape28"), "")),
    (mamba, {"x": "", "gated": "R4"}),
]


@pytest.mark.parametrize(("make", "wanted"), ONLINE, ids=name_of)
def test_matrices_act_at_a_price_here(make: Callable[..., Graph], wanted: dict[str, str]):
    assert {s.name: s.role for s in survey(make).onlines} == wanted


FOUND = {
    f"{title} {site}": (own.graph, site)
    for title, own in SURVEYS.items()
    for site in (*own.rotations, *own.scalings, *own.permutations, *own.shifts)
} | {f"{title} {site}": (own.graph, site) for title, own in PLAIN.items() for site in own.shifts}


@pytest.mark.parametrize(("graph", "site"), FOUND.values(), ids=FOUND.keys())
def test_each_of_them_is_exact(graph: Graph, site: Site):
    assert difference(graph, transformed(graph, site)) < 1e-9


@pytest.mark.parametrize("make", NETWORKS)
def test_exposing_sites_keeps_the_meaning(make: Callable[[], Graph]):
    before = make()
    after = ExposeSites().run(before)
    assert difference(before, after) < 1e-12
    assert ExposeSites().run(after) is after


def absorbed(make: Callable[..., Graph], name: str) -> set[str]:
    sites = {site.name: site for site in survey(make).rotations}
    return {f"{m.value.name}{'+' if m.exponent > 0 else '-'}" for m in sites[name].absorbs}


def test_the_router_and_all_experts_read_the_stream():
    gates = {f"{e}.{w}.w-" for e in ("e0", "e1", "e2", "shared") for w in ("up", "gate")}
    downs = {f"{e}.down.w+" for e in ("e0", "e1", "e2", "shared")}
    assert absorbed(moe, "embed") == {"embed.w+", "router.w-", "head.w-"} | gates | downs


def test_a_latent_norm_is_folded_into_both_of_its_readers():
    assert absorbed(mla, "kv_a") == {"kv_a.w+", "k_b.w-", "v_b.w-"}


def test_an_untied_embedding_turns_one_way_and_the_head_the_other():
    assert {"embed.w+", "embed.w-", "position+"} <= absorbed(gpt2, "embed")


def test_a_class_token_and_a_convolution_of_patches_write_the_stream():
    assert {"class+", "patch.w+", "patch.b+", "position+", "head.w-"} <= absorbed(vit, "patch")
