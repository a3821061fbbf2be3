"""The emulator's library answers as a driver does, down to errors that stick to a context."""

import ctypes as c
import threading

import numpy as np
import pytest

from qcompile.targets.cuda.emulator import device_headers, emulator_library
from qcompile.targets.cuda.nvrtc import Job, Worker, installed

HEADER = '#include "qc_device.cuh"\nextern "C" __global__ void '
SOURCES = {
    "twice": HEADER + "twice(const int* from, int* to) { to[blockIdx.x] = 2 * from[blockIdx.x]; }",
    "wild": HEADER + "wild(int* to) { to[5000000] = 1; }",
    "stuck": HEADER + "stuck(int* to) { if (threadIdx.x) __syncthreads(); else __syncwarp(); }",
    "odd": HEADER + "odd(int* to) { QC_SHARED(s); qc::shared_load8(s + 4); }",
    "added": HEADER + "added(int* to, int more) { to[0] += more; }",
}
IMAGE = b"\x7fELF" + bytes(60)  # of no machine: the driver asks it nothing
INVALID_VALUE, OUT_OF_MEMORY = 1, 2
INVALID_IMAGE, INVALID_CONTEXT, NO_BINARY, UNSUPPORTED_PTX = 200, 201, 209, 222
INVALID_HANDLE, NOT_FOUND, ILLEGAL_ADDRESS, MISALIGNED, LAUNCH_FAILED = 400, 500, 700, 716, 719
CAPTURE_UNSUPPORTED = 900
MAX_SHARED, MAJOR, MINOR, MAX_SHARED_OPTIN = 8, 75, 76, 97


class Driver:
    """The entry points; `do` wants success."""

    def __init__(self, path):
        self.c = c.CDLL(str(path))

    def do(self, name, *arguments):
        assert getattr(self.c, name)(*arguments) == 0, name

    def made(self, name, *arguments):
        handle = c.c_void_p()
        self.do(name, c.byref(handle), *arguments)
        return handle

    def put(self, array):
        address = self.made("cuMemAlloc_v2", c.c_size_t(array.nbytes))
        self.do("cuMemcpyHtoD_v2", address, c.c_void_p(array.ctypes.data), size(array))
        return address

    def get(self, address, array):
        self.do("cuMemcpyDtoH_v2", c.c_void_p(array.ctypes.data), address, size(array))
        return array

    def function(self, name, image=IMAGE):
        return self.made("cuModuleGetFunction", self.made("cuModuleLoadData", image), name.encode())

    def launch(self, function, *arguments, grid=1, block=1, shared=0, stream=None):
        pointers = (c.c_void_p * len(arguments))(*map(c.addressof, arguments))
        return self.c.cuLaunchKernel(
            function, grid, 1, 1, block, 1, 1, shared, stream, pointers, None
        )

    def attribute(self, which):
        value = c.c_int()
        self.do("cuDeviceGetAttribute", c.byref(value), which, 0)
        return value.value

    def made_by_capture(self, stream):
        graph = c.c_void_p()
        self.do("cuStreamEndCapture", stream, c.byref(graph))
        return graph

    def text(self, code):
        words = c.c_char_p()
        self.c.cuGetErrorString(code, c.byref(words))
        return (words.value or b"").decode()


def size(array):
    return c.c_size_t(array.nbytes)


@pytest.fixture(scope="module")
def path(emulator_cache):
    return emulator_library(SOURCES, cache=emulator_cache)


@pytest.fixture
def driver(path):
    driver = Driver(path)
    driver.do("qcemu_set_capability", 7, 5)
    driver.do("qcemu_set_driver_version", 12040)
    driver.do("cuInit", 0)
    driver.do("cuCtxSetCurrent", driver.made("cuDevicePrimaryCtxRetain", 0))
    yield driver
    driver.c.cuDevicePrimaryCtxRelease_v2(0)


@pytest.fixture(scope="module")
def compiled():
    with Worker(installed()) as worker:
        options = ("--std=c++17", "--gpu-architecture=sm_80")
        yield worker.compile(Job("twice", SOURCES["twice"], device_headers(), options))


def test_the_device_says_that_it_is_none(driver):
    name = c.create_string_buffer(100)
    driver.do("cuDeviceGetName", name, 100, 0)
    assert name.value.decode() == "qcompile CPU emulator (sm_75)"


def test_the_capability_and_its_shared_memory_are_chosen(driver):
    driver.do("qcemu_set_capability", 8, 6)
    values = [driver.attribute(which) for which in (MAJOR, MINOR, MAX_SHARED_OPTIN)]
    assert values == [8, 6, 99 * 1024]


def test_a_program_without_python_chooses_by_its_environment(driver, monkeypatch):
    monkeypatch.setenv("QC_EMU_SM", "89")
    driver.do("cuInit", 0)
    assert (driver.attribute(MAJOR), driver.attribute(MINOR)) == (8, 9)


def test_a_kernel_runs_on_what_was_copied(driver):
    given, left = np.arange(100, dtype=np.int32), np.zeros(100, np.int32)
    source, target = driver.put(given), driver.put(left)
    assert driver.launch(driver.function("twice"), source, target, grid=100) == 0
    driver.do("cuCtxSynchronize")
    np.testing.assert_array_equal(driver.get(target, left), 2 * given)


def test_memory_starts_as_garbage_and_can_be_set(driver):
    left = np.zeros(7, np.uint8)
    address = driver.made("cuMemAlloc_v2", c.c_size_t(7))
    np.testing.assert_array_equal(driver.get(address, left), 0xA5)
    driver.do("cuMemsetD8_v2", address, 3, c.c_size_t(7))
    np.testing.assert_array_equal(driver.get(address, left), 3)
    driver.do("cuMemFree_v2", address)


@pytest.mark.parametrize("extra", [1, -1])
def test_a_copy_stays_inside_its_allocation(driver, extra):
    array = np.zeros(16, np.uint8)
    address = driver.put(array)
    moved = c.c_uint64(address.value + extra)
    assert driver.c.cuMemcpyDtoH_v2(c.c_void_p(array.ctypes.data), moved, size(array)) == 1


def test_memory_runs_out(driver):
    driver.do("qcemu_set_memory", c.c_ulonglong(1 << 20))
    address = c.c_void_p()
    assert driver.c.cuMemAlloc_v2(c.byref(address), c.c_size_t(2 << 20)) == OUT_OF_MEMORY
    driver.do("qcemu_set_memory", c.c_ulonglong(16 << 30))


def test_a_graph_repeats_what_a_stream_was_asked(driver):
    total, more = np.array([1], np.int32), c.c_int(10)
    address, function = driver.put(total), driver.function("added")
    stream = driver.made("cuStreamCreate", 0)
    driver.do("cuStreamBeginCapture_v2", stream, 1)
    assert driver.launch(function, address, more, stream=stream) == 0
    more.value = 100  # was copied
    assert driver.launch(function, address, more, stream=stream) == 0
    graph = driver.made_by_capture(stream)
    assert driver.get(address, total)[0] == 1
    ready = driver.made("cuGraphInstantiateWithFlags", graph, c.c_ulonglong(0))
    driver.do("cuGraphDestroy", graph)
    driver.do("cuGraphLaunch", ready, stream)
    driver.do("cuGraphLaunch", ready, stream)
    driver.do("cuStreamSynchronize", stream)
    assert driver.get(address, total)[0] == 1 + 2 * (10 + 100)
    driver.do("cuGraphExecDestroy", ready)
    driver.do("cuStreamDestroy_v2", stream)


def test_a_captured_stream_cannot_be_waited_for(driver):
    stream, address = driver.made("cuStreamCreate", 0), c.c_void_p()
    driver.do("cuStreamBeginCapture_v2", stream, 0)
    assert driver.c.cuStreamSynchronize(stream) == CAPTURE_UNSUPPORTED
    assert driver.c.cuMemAlloc_v2(c.byref(address), c.c_size_t(64)) == CAPTURE_UNSUPPORTED
    driver.made_by_capture(stream)


@pytest.mark.parametrize(
    ("kernel", "code", "words"),
    [
        (
            "wild",
            ILLEGAL_ADDRESS,
            "kernel wild, block (0,0,0): thread (0,0,0) made an illegal memory access",
        ),
        ("stuck", LAUNCH_FAILED, "kernel stuck, block (0,0,0): deadlock"),
        ("odd", MISALIGNED, "kernel odd, block (0,0,0): a shared access at byte 4"),
    ],
)
def test_what_a_kernel_did_wrong_sticks_to_the_context(driver, kernel, code, words):
    array = np.zeros(4, np.int32)
    address = driver.put(array)
    assert driver.launch(driver.function(kernel), address, block=2, shared=64) == 0
    assert driver.c.cuCtxSynchronize() == code
    assert driver.c.cuMemcpyDtoH_v2(c.c_void_p(array.ctypes.data), address, size(array)) == code
    assert driver.text(code).startswith(words)


def test_a_new_context_has_no_error(driver):
    address = driver.put(np.zeros(4, np.int32))
    driver.launch(driver.function("wild"), address)
    driver.do("cuDevicePrimaryCtxRelease_v2", 0)
    driver.made("cuDevicePrimaryCtxRetain", 0)
    driver.do("cuCtxSynchronize")


def test_another_thread_needs_a_context_of_its_own(driver):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(driver.c.cuCtxSynchronize()))
    thread.start()
    thread.join()
    assert codes == [INVALID_CONTEXT]


def test_contexts_are_pushed_and_popped(driver):
    popped = driver.made("cuCtxPopCurrent_v2")
    assert driver.c.cuCtxSynchronize() == INVALID_CONTEXT
    driver.do("cuCtxPushCurrent_v2", popped)
    driver.do("cuCtxSynchronize")


@pytest.mark.parametrize(
    "sizes",
    [{"grid": 0}, {"block": 0}, {"block": 1025}, {"shared": (48 << 10) + 1}],
    ids=str,
)
def test_sizes_beyond_the_devices_are_refused(driver, sizes):
    address = driver.put(np.zeros(4, np.int32))
    assert driver.launch(driver.function("odd"), address, **sizes) == INVALID_VALUE


def test_more_shared_memory_must_be_asked_for(driver):
    function, address = driver.function("added"), driver.put(np.zeros(4, np.int32))
    driver.do("cuFuncSetAttribute", function, MAX_SHARED, 64 << 10)
    assert driver.launch(function, address, c.c_int(1), shared=64 << 10) == 0
    assert driver.c.cuFuncSetAttribute(function, MAX_SHARED, (64 << 10) + 1) == INVALID_VALUE


@pytest.mark.parametrize("image", [b"MZ" + bytes(62), b"//\n.version x"])
def test_what_is_no_image_is_refused(driver, image):
    module = c.c_void_p()
    assert driver.c.cuModuleLoadData(c.byref(module), image) == INVALID_IMAGE


@pytest.mark.parametrize(
    ("capability", "code"), [((8, 0), 0), ((8, 9), 0), ((7, 5), NO_BINARY), ((9, 0), NO_BINARY)]
)
def test_a_cubin_is_for_its_major_capability(driver, compiled, capability, code):
    driver.do("qcemu_set_capability", *capability)
    module = c.c_void_p()
    assert driver.c.cuModuleLoadData(c.byref(module), compiled.cubin) == code


@pytest.mark.parametrize(
    ("capability", "version", "code"),
    [
        ((8, 0), 12040, 0),
        ((9, 0), 12040, 0),
        ((7, 5), 12040, NO_BINARY),
        ((8, 0), 12000, UNSUPPORTED_PTX),
    ],
)
def test_ptx_is_for_later_devices_and_drivers(driver, compiled, capability, version, code):
    driver.do("qcemu_set_capability", *capability)
    driver.do("qcemu_set_driver_version", version)
    module = c.c_void_p()
    assert driver.c.cuModuleLoadData(c.byref(module), compiled.ptx + b"\0") == code


@pytest.mark.parametrize("kind", ["cubin", "ptx"])
def test_an_image_has_the_kernels_that_are_in_it(driver, compiled, kind):
    driver.do("qcemu_set_capability", 8, 0)
    module, function = c.c_void_p(), c.c_void_p()
    driver.do("cuModuleLoadData", c.byref(module), getattr(compiled, kind) + b"\0")
    driver.do("cuModuleGetFunction", c.byref(function), module, b"twice")
    assert driver.c.cuModuleGetFunction(c.byref(function), module, b"added") == NOT_FOUND


@pytest.mark.parametrize(
    "call", ["cuStreamDestroy_v2", "cuGraphDestroy", "cuModuleUnload", "cuEventDestroy_v2"]
)
def test_a_handle_that_was_never_given_is_refused(driver, call):
    assert getattr(driver.c, call)(c.c_void_p(64)) == INVALID_HANDLE


def test_events_measure_time(driver):
    start, end = (driver.made("cuEventCreate", 0) for _ in range(2))
    elapsed = c.c_float(-1)
    driver.do("cuEventRecord", start, None)
    driver.do("cuEventRecord", end, None)
    driver.do("cuEventElapsedTime", c.byref(elapsed), start, end)
    assert elapsed.value >= 0
