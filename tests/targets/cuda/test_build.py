"""Compiling kernels: same bytes whoever compiles, the cache, every failure named."""

import re
from typing import Any

import pytest

from qcompile.errors import ToolchainError
from qcompile.targets.cuda.build import compile_kernels
from qcompile.targets.cuda.devices import H100, T4
from qcompile.targets.cuda.nvrtc import Nvrtc, installed
from tests.targets.cuda.snippets import HEADERS, kernel, scaled
from tests.targets.cuda.stand_in import stand_in

SOURCES = {f"scale_{factor}": scaled(f"scale_{factor}", factor) for factor in (9, 3, 7)}
FLOATS = """extern "C" __global__ void floats(float* p) {
  p[0] = p[1] * p[2] + p[3];
  p[4] = p[5] / p[6];
  p[7] = sqrtf(p[8]);
}
"""


def build(sources, chip=T4, *, headers=HEADERS, cache=None, threads=2, compiler=None):
    return compile_kernels(
        sources, chip, headers=headers, cache=cache, threads=threads, compiler=compiler
    )


@pytest.fixture(scope="module")
def kernels():
    return build(SOURCES)


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    return stand_in(tmp_path_factory.mktemp("stand_in"))


def gone(version):
    """A compiler that cannot be started: what needs it fails."""
    return Nvrtc(installed().library / "no", installed().builtins, version)


def test_kernels_come_in_the_order_of_the_sources(kernels):
    assert list(kernels) == ["scale_9", "scale_3", "scale_7"]
    assert [one.name for one in kernels.values()] == list(kernels)


def test_one_process_gives_the_same_bytes_as_many(kernels):
    assert build(SOURCES, threads=1) == kernels
    assert build(SOURCES, threads=5) == kernels


def test_the_folder_where_one_works_leaves_no_trace(kernels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert build(SOURCES) == kernels


def test_machine_code_holds_no_path(kernels):
    code = b"".join(one.cubin + one.ptx for one in kernels.values())
    assert re.search(rb"/(tmp|home|root|usr|work)/|\.cuh?\b", code) is None


def test_ptx_is_for_the_chip_that_was_asked_for(kernels):
    assert b".target sm_75" in kernels["scale_9"].ptx
    assert b".target sm_90" in build(SOURCES, H100)["scale_9"].ptx


def test_nothing_to_compile_is_nothing():
    assert build({}) == {}


def test_a_product_is_rounded_before_it_is_added():
    ptx = build({"floats": FLOATS})["floats"].ptx.decode()
    assert re.findall(r"(fma|mul|add|div|sqrt)\.(\S+)\s", ptx) == [
        ("mul", "rn.f32"),
        ("add", "rn.f32"),
        ("div", "rn.f32"),
        ("sqrt", "rn.f32"),
    ]


def test_static_shared_memory_is_counted():
    source = kernel("shares", "__shared__ int s[64]; s[*p & 63] = *p; __syncthreads(); *p = s[1];")
    assert build({"shares": source})["shares"].shared_static == 256


def test_the_cache_gives_the_same_without_a_compiler(kernels, tmp_path):
    build(SOURCES, cache=tmp_path)
    assert build(SOURCES, cache=tmp_path, compiler=gone(installed().version)) == kernels


@pytest.mark.parametrize(
    "change",
    [
        {"compiler": gone("another")},
        {"chip": H100},
        {"headers": {"scale.cuh": HEADERS["scale.cuh"] + "\n"}},
        {"sources": {name: text + "\n" for name, text in SOURCES.items()}},
    ],
    ids=["version", "chip", "header", "source"],
)
def test_the_cache_knows_all_that_matters(tmp_path, change):
    build(SOURCES, cache=tmp_path)
    same: dict[str, Any] = {"sources": SOURCES, "compiler": gone(installed().version)}
    with pytest.raises(ToolchainError, match=r"3 of 3 kernels .*\n.*NVRTC"):
        build(cache=tmp_path, **{**same, **change})


def test_a_damaged_cache_entry_is_compiled_again(kernels, tmp_path):
    build(SOURCES, cache=tmp_path)
    entry = sorted(tmp_path.glob("??/*"))[0]
    entry.write_bytes(b"damage" + entry.read_bytes())
    assert build(SOURCES, cache=tmp_path) == kernels
    assert build(SOURCES, cache=tmp_path, compiler=gone(installed().version)) == kernels


def test_all_kernels_that_fail_are_named(fake):
    sources = {"a": "REFUSE", "b": "fine", "c": "CRASH", "d": "fine"}
    with pytest.raises(
        ToolchainError, match=r"(?s)2 of 4 kernels .*kernel a: .*kernel c: .*SIGABRT"
    ):
        build(sources, compiler=fake, threads=1)


def test_what_compiled_beside_a_crash_is_kept(fake, tmp_path):
    with pytest.raises(ToolchainError, match="kernel a"):
        build({"a": "CRASH", "b": "fine"}, compiler=fake, threads=1, cache=tmp_path)
    kept = build({"b": "fine"}, cache=tmp_path, compiler=gone(fake.version))
    assert kept["b"].cubin == b"fine"


def test_a_kernel_of_another_name_is_refused():
    with pytest.raises(ToolchainError, match=r"kernel one: .* of that name, and defines other"):
        build({"one": kernel("other", "*p = 1;")})
