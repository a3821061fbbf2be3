"""Plans survive the trip through bytes; what makes no sense is refused in words."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.errors import ArtifactError
from qcompile.targets.cuda.plan import (
    ELEMENTS,
    Arena,
    Form,
    Image,
    InputOf,
    Launch,
    Layer,
    OutputOf,
    Phase,
    Plan,
    Port,
    Weights,
)  # fmt: skip
from qcompile.targets.cuda.plan_file import HEADER, decode, encode, sealed
from tests.targets.cuda.small_model import IMAGE, LAUNCHES, LAYERS, PLAN_SMALL

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)
SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
ARENA, WEIGHTS = 1 << 20, 4096
REALS = st.floats(width=32, allow_nan=False)


@st.composite
def forms(draw) -> Form:
    shape = draw(SHAPES)
    axis = draw(st.integers(0, max(len(shape) - 1, 0)))
    count = draw(st.sampled_from([0, 1, *shape[axis : axis + 1]]))
    scales = tuple(draw(REALS) for _ in range(count))
    zeros = tuple(draw(st.integers(-(1 << 31), (1 << 31) - 1)) for _ in range(count))
    return Form(draw(st.sampled_from(list(ELEMENTS))), shape, scales, zeros, axis)


PORTS = st.lists(st.builds(Port, TEXT, forms(), forms()), max_size=3).map(tuple)


def dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = list[int](), 1
    for length in reversed(shape):
        strides.insert(0, step)
        step *= length + 1
    return tuple(strides)


@st.composite
def layers(draw) -> Layer:
    shape = draw(SHAPES)
    elem = draw(st.sampled_from(list(ELEMENTS)))
    bits = 4 if elem in ("u8", "i8") and draw(st.booleans()) else 8 * ELEMENTS[elem]
    return Layer(draw(TEXT), elem, shape, draw(st.integers(0, ARENA // 2)), dense(shape), bits)


@st.composite
def images(draw, kernels: tuple[str, ...]) -> Image:
    size = 8 * draw(st.integers(1, 1000))
    offsets = {k: 8 * draw(st.integers(0, size // 8 - 1)) for k in kernels}
    entries = {k: (at, draw(st.integers(1, size - at))) for k, at in offsets.items()}
    return Image(
        draw(st.sampled_from(["sm_75", "ptx_75", "sm_90a", "sm_100"])),
        draw(st.sampled_from(["kernels.bin", "a b.ptx"])), size,
        draw(st.integers(0, (1 << 64) - 1)), entries, draw(st.integers(0, 20000)),
        draw(st.integers(0, 255)),
    )  # fmt: skip


@st.composite
def plans(draw) -> Plan:
    inputs, outputs = draw(PORTS), draw(PORTS)
    shown = tuple(draw(st.lists(layers(), max_size=3)))
    wheres = [st.builds(Arena, st.integers(0, ARENA - 1))]
    wheres += [st.builds(Weights, st.integers(0, WEIGHTS - 1))]
    wheres += [st.builds(InputOf, st.integers(0, len(inputs) - 1))] if inputs else []
    wheres += [st.builds(OutputOf, st.integers(0, len(outputs) - 1))] if outputs else []
    launch = st.builds(
        Launch, st.sampled_from(["first", "second", "third"]), st.integers(1, (1 << 31) - 1),
        st.integers(1, 1024), st.integers(0, 1 << 18),
        st.lists(st.one_of(wheres), max_size=5).map(tuple), st.sampled_from(list(Phase)), TEXT,
    )  # fmt: skip
    runs = [(i, n - i) for n in range(len(shown) + 1) for i in range(n)]
    layer_run = st.sampled_from([(-1, 0), *runs])
    both = st.tuples(launch, layer_run).map(lambda t: replace(t[0], shows=t[1][0], shown=t[1][1]))
    launches = tuple(draw(st.lists(both, max_size=5)))
    kernels = tuple(dict.fromkeys(launch.kernel for launch in launches))
    found = tuple(draw(st.lists(images(kernels), max_size=2)))
    checksum = draw(st.integers(0, (1 << 64) - 1))
    return Plan(
        draw(TEXT), draw(TEXT), ARENA, WEIGHTS, checksum, inputs, outputs, shown, found, launches
    )


@given(plans())
def test_a_plan_survives_the_trip(plan: Plan):
    assert decode(encode(plan)) == plan


@given(plans())
def test_a_plan_is_whole_words_and_always_the_same(plan: Plan):
    assert encode(plan) == encode(plan)
    assert len(encode(plan)) % 8 == 0


@given(st.integers(0, 8 * len(encode(PLAN_SMALL)) - 1))
def test_any_flipped_bit_is_seen(bit: int):
    data = bytearray(encode(PLAN_SMALL))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ArtifactError, match=r"plan\.bin"):
        decode(bytes(data))


@given(st.integers(0, len(encode(PLAN_SMALL)) - 1))
def test_any_missing_end_is_seen(length: int):
    with pytest.raises(ArtifactError, match=r"plan\.bin"):
        decode(encode(PLAN_SMALL)[:length])


@given(st.integers(0, len(encode(PLAN_SMALL)) - HEADER - 4), st.binary(min_size=4, max_size=4))
def test_damage_under_a_good_checksum_is_a_plan_or_a_refusal(at: int, word: bytes):
    body = bytearray(encode(PLAN_SMALL)[HEADER:])
    body[at : at + 4] = word
    with suppress(ArtifactError):
        plan = decode(sealed(bytes(body)))
        assert decode(encode(plan)) == plan


def test_another_version_is_named():
    data = bytearray(encode(PLAN_SMALL))
    data[8] = 9
    with pytest.raises(ArtifactError, match="version 9, this is version 1"):
        decode(bytes(data))


def test_kernels_are_counted_once():
    assert PLAN_SMALL.kernels == ("quantize", "copy", "add", "pack", "dequantize")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"grid": 0}, "out of range"),
        ({"grid": 1 << 31}, "out of range"),
        ({"block": 1025}, "out of range"),
        ({"shared": (256 << 10) + 1}, "out of range"),
        ({"args": (Arena(0),) * 65}, "out of range"),
        ({"shows": -2}, "out of range"),
    ],
)
def test_launches_out_of_range_are_none(change, said: str):
    with pytest.raises(ArtifactError, match=said):
        replace(LAUNCHES[0], **change)


@pytest.mark.parametrize(
    "change",
    [
        {"bits": 5},
        {"elem": "i16"},
        {"strides": (1,)},
        {"strides": (0, 1)},
        {"strides": (8, -1)},
        {"offset": -1},
        {"shape": (2, 2, 2, 2, 2, 2, 2, 2, 2)},
        {"elem": "u4"},
    ],
)
def test_layers_that_make_no_sense_are_none(change):
    with pytest.raises(ArtifactError):
        replace(LAYERS[0], **change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arch": "gfx90"}, "gfx90"),
        ({"arch": "sm_7"}, "sm_7"),
        ({"file": "../kernels"}, "file name"),
        ({"file": ""}, "file name"),
        ({"bytes": 63}, "whole words"),
        ({"entries": {"copy": (0, 10000)}}, "copy at 0"),
        ({"entries": {"copy": (3, 8)}}, "copy at 3"),
    ],
)
def test_images_that_make_no_sense_are_none(change, said: str):
    with pytest.raises(ArtifactError, match=said):
        replace(IMAGE, **change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arena_bytes": 128}, "outside"),
        ({"weights_bytes": 8}, "outside"),
        ({"weights_bytes": 100}, "whole words"),
        ({"inputs": PLAN_SMALL.inputs[:1]}, "outside"),
        ({"outputs": ()}, "outside"),
        ({"layers": LAYERS[:1]}, "outside"),
        ({"launches": LAUNCHES[:3]}, r"differ in \['dequantize', 'pack'\]"),
    ],
)
def test_plans_that_point_outside_are_none(change, said: str):
    with pytest.raises(ArtifactError, match=said):
        replace(PLAN_SMALL, **change)


def test_scales_must_fit_their_axis():
    with pytest.raises(ArtifactError, match="axis"):
        Form("u8", (2, 3), (0.5, 0.25), (0, 0), 1)


def test_a_name_with_a_zero_byte_is_refused():
    with pytest.raises(ArtifactError, match="zero byte"):
        encode(replace(PLAN_SMALL, name="a\0b"))


@pytest.mark.parametrize(
    ("arch", "capability", "kind", "exact"),
    [
        ("sm_75", (7, 5), "cubin", False),
        ("ptx_86", (8, 6), "ptx", False),
        ("sm_90a", (9, 0), "cubin", True),
        ("sm_120", (12, 0), "cubin", False),
    ],
)
def test_an_arch_says_what_it_is_for(arch: str, capability, kind: str, exact: bool):
    image = replace(IMAGE, arch=arch)
    assert (image.capability, image.kind, image.exact) == (capability, kind, exact)
