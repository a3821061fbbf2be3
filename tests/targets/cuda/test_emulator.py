"""The emulator runs kernels in every order of threads, and says what a wrong one did."""

import numpy as np
import pytest

from qcompile.errors import ToolchainError
from qcompile.targets.cuda import emulator as module
from qcompile.targets.cuda.emulator import EmulationError, Emulator, emulator_library
from tests.targets.cuda import gemm

SMALL = {
    "places": """(int* out) {
  const int t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const int b = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  out[b * blockDim.x * blockDim.y * blockDim.z + t] = b * 100 + t;
}""",
    "turns": "(int* out) { const int turn = out[0]++; out[1 + turn] = threadIdx.x; }",
    "scalars": """(int* out, int a, unsigned char b, float c, long long d) {
  out[0] = a, out[1] = b, out[2] = (int)c, out[3] = (int)(d >> 32);
}""",
    "garbage": """(int* out) {
  QC_SHARED(shared);
  out[blockIdx.x] = shared[0] | shared[63] << 8;
  shared[0] = shared[63] = 0;
}""",
    "late": """(const unsigned char* from, unsigned char* out) {
  QC_SHARED(shared);
  shared[threadIdx.x * 16] = 1;
  qc::cp_async16(shared + threadIdx.x * 16, from);
  qc::cp_async_commit();
  out[threadIdx.x] = shared[threadIdx.x * 16];
  qc::cp_async_wait<0>();
  out[32 + threadIdx.x] = shared[threadIdx.x * 16];
}""",
    "uncommitted": """(const unsigned char* from, unsigned char* out) {
  QC_SHARED(shared);
  shared[threadIdx.x * 16] = 1;
  qc::cp_async16(shared + threadIdx.x * 16, from);
  qc::cp_async_wait<0>();
  out[threadIdx.x] = shared[threadIdx.x * 16];
}""",
    "strided": """(int stride, int store) {
  QC_SHARED(shared);
  if (store == 16) qc::shared_store16(shared + threadIdx.x * stride, make_uint4(1, 2, 3, 4));
  if (store == 8) qc::shared_store8(shared + threadIdx.x * stride, make_uint2(1, 2));
  if (store == 4) qc::shared_store4(shared + threadIdx.x * stride, 1);
  if (store == 0 && threadIdx.x < 8) qc::shared_load16(shared + threadIdx.x * stride);
}""",
    "leaves": "(int* out) { if (threadIdx.x < 40) return; __syncthreads(); out[0] = 1; }",
    "half_barrier": """(int* out) {
  if (threadIdx.x < 16) __syncthreads();
  out[threadIdx.x] = __shfl_xor_sync(~0u, 1, 1);
}""",
    "two_instructions": """(int* out) {
  if (threadIdx.x & 1) __syncwarp(); else __ballot_sync(~0u, 1);
}""",
    "gone": "(int* out) { if (threadIdx.x == 7) return; __syncwarp(); }",
    "few": "(int* out) { int c[2] = {}; qc::mma_m8n8k16<true>(c, 1, 1); out[0] = c[0]; }",
    "odd_row": """(int* out) {
  QC_SHARED(s); unsigned r[4]; qc::ldmatrix_x4(r, s + 8 * threadIdx.x);
}""",
    "far_row": """(int* out) {
  QC_SHARED(s); unsigned r[4]; qc::ldmatrix_x4(r, s + 32 * threadIdx.x);
}""",
    "odd_copy": "(int* out) { QC_SHARED(s); qc::cp_async16(s, (char*)out + 4); }",
    "far_copy": "(int* out) { QC_SHARED(s); qc::cp_async16(s + 512, out); }",
    "far_store": "(int* out) { QC_SHARED(s); qc::shared_store8(s + 508, make_uint2(0, 0)); }",
    "far_read": "(int* out) { out[0] = out[64]; }",
    "far_write": "(int* out) { out[-70000] = 1; }",
    "null": "(int* out) { *(volatile int*)nullptr = 1; }",
    "odd_vector": "(int* out) { qc::global_store16(out + 1, qc::global_load16(out)); }",
    "large": """(int* out) {
  volatile int local[20000];
  for (int i = 0; i < 20000; i++) local[i] = *out;
}""",
    "trap": "(int* out) { __trap(); }",
}  # fmt: skip
HEADER = '#include "qc_device.cuh"\nextern "C" __global__ void '
REPORTS = {
    "half_barrier": r"deadlock: thread \(0,0,0\) waits in __syncthreads at line \d+, "
    r"thread \(16,0,0\) waits in a shuffle; 32 of 64 threads have not left",
    "two_instructions": "lanes of one warp came to different warp instructions: a vote",
    "gone": "left the kernel while others of its warp wait in __syncwarp|some lanes have left",
    "odd_row": "ldmatrix at byte 8, not a multiple of 16",
    "far_row": r"ldmatrix outside shared memory: byte 512 of 512",
    "odd_copy": "cp.async from a global address that is not a multiple of 16",
    "far_copy": "cp.async outside shared memory: byte 512 of 512",
    "far_store": "a shared access outside shared memory: byte 508 of 512",
    "far_read": r"thread \(0,0,0\) made an illegal memory access: byte 256 of 256",
    "far_write": "illegal memory access: byte -280000 of 256",
    "null": "illegal memory access: a null pointer, or a vector that is not aligned",
    "odd_vector": "illegal memory access: a null pointer, or a vector that is not aligned",
    "large": "has more than 64 KB of local variables",
    "trap": r"kernel trap, block \(0,0,0\): thread \(0,0,0\) came to __trap",
}


@pytest.fixture(scope="module")
def small(emulator_cache):
    text = "\n".join(f"{HEADER}{name}{body}\nQC_KERNEL({name})" for name, body in SMALL.items())
    return Emulator(emulator_library({"small": text}, cache=emulator_cache))


@pytest.fixture(scope="module")
def products(emulator_cache):
    sources = {kernel: gemm.source(kernel) for kernel in gemm.KERNELS}
    return Emulator(emulator_library(sources, cache=emulator_cache, includes=gemm.headers()))


# ---- what kernels compute


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("shape", gemm.SHAPES, ids=str)
@pytest.mark.parametrize("kernel", gemm.KERNELS)
def test_a_matrix_product_equals_numpys(products, kernel, shape, order):
    sums, expected, _ = gemm.run(products, kernel, shape, order)
    np.testing.assert_array_equal(sums, expected)


def test_threads_know_their_places(small):
    out = np.zeros((12, 30), np.int32)
    small.launch("places", grid=(2, 3, 2), block=(5, 3, 2), arrays=[out])
    np.testing.assert_array_equal(out, np.arange(12)[:, None] * 100 + np.arange(30))


@pytest.mark.parametrize(("order", "turns"), [(0, list(range(70))), (1, list(reversed(range(70))))])
def test_threads_take_turns_upwards_and_downwards(small, order, turns):
    assert taken(small, order=order) == turns


def test_random_turns_are_repeated_for_the_same_seed_only(small):
    first = taken(small, order=2, seed=5)
    assert sorted(first) == list(range(70)) != first
    assert taken(small, order=2, seed=5) == first
    assert taken(small, order=2, seed=6) != first


def taken(small, **settings):
    out = np.zeros(71, np.int32)
    small.launch("turns", grid=(1,), block=(70,), arrays=[out], **settings)
    return out[1:].tolist()


def test_scalars_go_by_value(small):
    out = np.zeros(4, np.int32)
    scalars = [np.int32(-3), np.uint8(200), np.float32(7), np.int64(9 << 32)]
    small.launch("scalars", grid=(1,), block=(1,), arrays=[out, *scalars])
    assert out.tolist() == [-3, 200, 7, 9]


def test_shared_memory_is_garbage_in_every_block(small):
    out = np.zeros(9, np.int32)
    small.launch("garbage", grid=(9,), block=(1,), shared=64, arrays=[out])
    np.testing.assert_array_equal(out, 0xA5A5)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_a_copy_lands_when_it_is_waited_for(small, order):
    out = np.zeros(64, np.uint8)
    arrays = [np.full(16, 9, np.uint8), out]
    small.launch("late", grid=(1,), block=(32,), shared=512, arrays=arrays, order=order)
    np.testing.assert_array_equal(out, [1] * 32 + [9] * 32)


def test_a_copy_may_also_land_at_once(small):
    out = np.zeros(64, np.uint8)
    arrays = [np.full(16, 9, np.uint8), out]
    small.launch("late", grid=(1,), block=(32,), shared=512, arrays=arrays, order=2)
    np.testing.assert_array_equal(out, [9] * 64)


def test_a_wait_is_for_committed_copies(small):
    out = np.zeros(32, np.uint8)
    arrays = [np.full(16, 9, np.uint8), out]
    small.launch("uncommitted", grid=(1,), block=(32,), shared=512, arrays=arrays)
    np.testing.assert_array_equal(out, 1)


def test_threads_that_left_do_not_hold_up_a_barrier(small):
    out = np.zeros(1, np.int32)
    small.launch("leaves", grid=(1,), block=(64,), arrays=[out])
    assert out[0] == 1


# ---- what is counted


@pytest.mark.parametrize(
    ("stride", "width", "conflicts"),
    [
        (16, 16, 0),
        (64, 16, 4 * 3),  # in each quarter of the warp, 8 lanes on 2 groups of banks
        (128, 16, 4 * 7),
        (8, 8, 0),
        (128, 8, 2 * 15),
        (4, 4, 0),
        (8, 4, 1),
        (128, 4, 31),
        (0, 4, 0),  # one address is one trip
        (0, 0, 0),
        (32, 0, 1),  # 8 lanes take part
    ],
)
def test_conflicts_of_plain_accesses_are_counted(small, stride, width, conflicts):
    arrays = [np.int32(stride), np.int32(width)]
    stats = small.launch("strided", grid=(1,), block=(32,), shared=4096, arrays=arrays)
    assert (stats.accesses, stats.access_conflicts) == (1, conflicts)


def test_instructions_are_counted_once_a_warp(products):
    *_, stats = gemm.run(products, "gemm80_s8", (128, 128, 128), 0)
    warps, fragments, steps = 8, (64 // 16) * (32 // 8), 128 // 32
    assert stats.products == warps * fragments * steps
    assert stats.matrices == warps * steps * (4 * 4 + 4 * 2)
    assert stats.copies == 2 * 256 * 4
    assert stats.launches == 1


# ---- what is refused


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("name", REPORTS)
def test_a_wrong_kernel_is_reported(small, name, order):
    out = np.zeros(64, np.int32)
    with pytest.raises(EmulationError, match=REPORTS[name] if order == 0 else f"kernel {name}, "):
        small.launch(name, grid=(1,), block=(64,), shared=512, arrays=[out], order=order)


def test_a_matrix_product_needs_a_whole_warp(small):
    with pytest.raises(EmulationError, match="mma_m8n8k16 in a warp of 16 lanes"):
        small.launch("few", grid=(1,), block=(16,), arrays=[np.zeros(1, np.int32)])


def test_a_kernel_that_is_not_there_is_named(small):
    with pytest.raises(EmulationError, match="no kernel absent in this library"):
        small.launch("absent", grid=(1,), block=(1,), arrays=[])


def test_a_launch_after_a_failed_one_is_as_if_nothing_happened(small):
    with pytest.raises(EmulationError):
        small.launch("trap", grid=(50,), block=(64,), arrays=[np.zeros(64, np.int32)])
    assert taken(small, order=0) == list(range(70))


# ---- how libraries are made


HELPER = '#include "qc_device.cuh"\n__device__ int helper() {{ return {0}; }}\n'
CALLER = 'extern "C" __global__ void {1}(int* out) {{ out[0] = helper(); }}'


def test_files_may_name_different_helpers_alike(emulator_cache):
    sources = {f"same_{i}": (HELPER + CALLER).format(i, f"same_{i}") for i in (1, 2)}
    emulator, out = Emulator(emulator_library(sources, cache=emulator_cache)), np.zeros(1, np.int32)
    emulator.launch("same_1", grid=(1,), block=(1,), arrays=[out])
    assert out[0] == 1
    emulator.launch("same_2", grid=(1,), block=(1,), arrays=[out])
    assert out[0] == 2


def test_the_same_sources_are_the_same_library(emulator_cache):
    first, again = (
        emulator_library({"small": HEADER + "small(int* out) {}"}, cache=emulator_cache)
        for _ in range(2)
    )
    assert first == again


def test_a_header_is_part_of_the_content(emulator_cache):
    sources = {"asks": '#include "answer.cuh"\nextern "C" __global__ void asks(int* out) {}'}
    one, other = (
        emulator_library(sources, cache=emulator_cache, includes={"answer.cuh": f"// {text}"})
        for text in ("one", "other")
    )
    assert one != other


def test_a_refused_source_shows_the_compilers_words(emulator_cache):
    with pytest.raises(ToolchainError, match=r"broken\.cu:2"):
        emulator_library({"broken": HEADER + "broken() { nonsense; }"}, cache=emulator_cache)


def test_a_missing_compiler_is_said_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "COMPILERS", ("no-such-compiler",))
    monkeypatch.setattr(module, "find_spec", {"ziglang": None}.get)
    with pytest.raises(ToolchainError, match="install g\\+\\+, or the Python package ziglang"):
        emulator_library({}, cache=tmp_path)


@pytest.mark.slow
def test_two_builds_are_the_same_bytes(tmp_path):
    sources = {kernel: gemm.source(kernel) for kernel in gemm.KERNELS}
    one, other = (
        emulator_library(sources, cache=tmp_path / folder, includes=gemm.headers())
        for folder in ("one", "another/deeper")
    )
    assert one.name == other.name
    assert one.read_bytes() == other.read_bytes()
