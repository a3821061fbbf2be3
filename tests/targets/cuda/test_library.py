"""A compiled model from Python: results, traces, and what it says of itself."""

import ctypes
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qcompile.errors import ArtifactError
from qcompile.targets.checksum import fingerprint
from qcompile.targets.cuda.library import CudaLibrary
from qcompile.targets.cuda.plan import Form, Plan, Port
from qcompile.targets.tensors import CTensor
from tests.targets.cuda.small_model import (
    PLAN_SMALL,
    REAL,
    SHAPE,
    WEIGHT,
    Fake,
    Place,
    drawn,
    low_halves,
    quantized,
    raw_result,
    real_result,
    weighted,
    written,
)  # fmt: skip

both_manners = pytest.mark.parametrize("graphs", [True, False], ids=["graph", "steps"])


@both_manners
def test_it_computes(graphs: bool, place: Place):
    x, y = drawn()
    with place.open(graphs=graphs) as library:
        np.testing.assert_array_equal(library.run([x, y])[0], real_result(x, y))


@both_manners
def test_raw_and_real_forms_agree(graphs: bool, place: Place):
    x, y = drawn()
    with place.open(graphs=graphs) as library:
        raw = library.run([x, y], raw_outputs=True)[0]
        both = library.run([quantized(x), y], raw_inputs=True, raw_outputs=True)[0]
        real = library.run([quantized(x), y], raw_inputs=True)[0]
    np.testing.assert_array_equal(raw, raw_result(x, y))
    np.testing.assert_array_equal(both, raw)
    np.testing.assert_array_equal(real, real_result(x, y))


@both_manners
def test_the_last_run_leaves_nothing_to_the_next(graphs: bool, place: Place):
    with place.open(graphs=graphs) as library:
        found = [library.run(drawn(seed), raw_outputs=True)[0] for seed in range(5)]
    np.testing.assert_array_equal(found, [raw_result(*drawn(seed)) for seed in range(5)])


def test_a_graph_is_made_once_for_each_form(place: Place, fake: Fake):
    with place.open() as library:
        fake.c.fake_log()
        for _ in range(3):
            library.run(drawn())
            library.run(drawn(), raw_outputs=True)
    assert fake.calls.count("cuStreamBeginCapture_v2") == 2
    assert fake.calls.count("cuGraphLaunch") == 6
    assert fake.calls.count("cuGraphDestroy") == 2


def test_without_graphs_every_launch_is_a_call(place: Place, fake: Fake):
    with place.open(graphs=False) as library:
        fake.c.fake_log()
        library.run(drawn())
    assert fake.calls.count("cuLaunchKernel") == 5
    assert "cuGraphLaunch" not in fake.calls


def test_a_run_waits_once(place: Place, fake: Fake):
    with place.open() as library:
        library.run(drawn())
        fake.c.fake_log()
        library.run(drawn())
        assert fake.calls == [
            "cuCtxPushCurrent_v2", "cuMemcpyHtoDAsync_v2", "cuMemcpyHtoDAsync_v2", "cuGraphLaunch",
            "cuMemcpyDtoHAsync_v2", "cuStreamSynchronize", "cuCtxPopCurrent_v2",
        ]  # fmt: skip


@both_manners
def test_memory_of_the_device_is_taken_and_given(graphs: bool, place: Place, fake: Fake):
    x, y = drawn()
    with place.open(graphs=graphs) as library:
        device = Device(library, fake)
        given = device.put(x), device.put(y)
        taken = device.put(np.zeros(SHAPE, np.float32))
        assert device.run(given, (taken,)) == 0
        np.testing.assert_array_equal(device.get(taken, np.float32), real_result(x, y))
        device.free(*given, taken)


def test_a_run_on_device_memory_does_not_wait(place: Place, fake: Fake):
    with place.open() as library:
        device = Device(library, fake)
        given = [device.put(a) for a in drawn()]
        taken = device.put(np.zeros(SHAPE, np.float32))
        fake.c.fake_log()
        device.run(given, [taken])
        calls = fake.calls
        device.free(*given, taken)
    assert "cuStreamSynchronize" not in calls
    assert [c for c in calls if c.startswith("cuMemcpy")] == ["cuMemcpyDtoDAsync_v2"] * 3


class Device:
    """Arrays in the fake driver's memory, and runs on them."""

    def __init__(self, library: CudaLibrary, fake: Fake) -> None:
        self.library, self.fake = library, fake

    def put(self, array: np.ndarray) -> int:
        at = ctypes.c_uint64()
        self.enter()
        assert self.fake.c.cuMemAlloc_v2(ctypes.byref(at), ctypes.c_size_t(array.nbytes)) == 0
        data = ctypes.c_void_p(array.ctypes.data)
        assert self.fake.c.cuMemcpyHtoD_v2(at, data, ctypes.c_size_t(array.nbytes)) == 0
        self.leave()
        return at.value

    def get(self, at: int, dtype) -> np.ndarray:
        result = np.empty(SHAPE, dtype)
        self.enter()
        to, bytes_ = ctypes.c_void_p(result.ctypes.data), ctypes.c_size_t(result.nbytes)
        assert self.fake.c.cuMemcpyDtoH_v2(to, ctypes.c_uint64(at), bytes_) == 0
        self.leave()
        return result

    def free(self, *places: int) -> None:
        assert [self.fake.c.cuMemFree_v2(ctypes.c_uint64(at)) for at in places] == [0] * len(places)

    def enter(self) -> None:
        context = ctypes.c_void_p()
        assert self.fake.c.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
        assert self.fake.c.cuCtxPushCurrent_v2(context) == 0

    def leave(self) -> None:
        assert self.fake.c.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p())) == 0
        assert self.fake.c.cuDevicePrimaryCtxRelease_v2(0) == 0

    def run(self, inputs, outputs) -> int:
        tables = [(ctypes.c_void_p * len(places))(*places) for places in (inputs, outputs)]
        return self.library._lib.qc_run_device(self.library._model, *tables, None, 0)


def test_the_trace_shows_each_layer_unpacked(place: Place):
    x, y = drawn()
    with place.open() as library:
        names, values = zip(*library.trace([x, y]), strict=True)
    assert names == ("weighted", "packed", "sum")
    np.testing.assert_array_equal(values[0], weighted(x))
    np.testing.assert_array_equal(values[1], low_halves(weighted(x)))
    np.testing.assert_array_equal(values[2], raw_result(x, y).T)


def test_unsigned_halves_stay_unsigned(place: Place, tmp_path: Path):
    x, y = drawn()
    shown = replace(PLAN_SMALL.layers[1], elem="u8")
    plan = replace(PLAN_SMALL, layers=(PLAN_SMALL.layers[0], shown, PLAN_SMALL.layers[2]))
    with place.open(written(tmp_path, plan)) as library:
        value = dict(library.trace([x, y]))["packed"]
    assert value.dtype == np.uint8
    np.testing.assert_array_equal(value, weighted(x) & 15)


def test_a_layer_with_a_border_is_shown_without_it(place: Place, tmp_path: Path):
    x, y = drawn()
    inner = replace(PLAN_SMALL.layers[0], shape=(2, 3), strides=(8, 2), offset=65)
    plan = replace(PLAN_SMALL, layers=(inner, *PLAN_SMALL.layers[1:]))
    with place.open(written(tmp_path, plan)) as library:
        value = dict(library.trace([x, y]))["weighted"]
    np.testing.assert_array_equal(value, weighted(x)[:, 1:7:2])


def test_a_trace_names_the_launch_that_fails(place: Place, fake: Fake):
    with place.open() as library:
        fake.fail("cuStreamSynchronize", 700, call=2)
        with pytest.raises(ArtifactError, match=r"weighted \(kernel add, 2 blocks of 8 threads\)"):
            library.trace(drawn())


def test_it_says_what_it_takes_and_gives(place: Place):
    with place.open() as library:
        real, raw = library.inputs(raw=False), library.inputs(raw=True)
        assert [(t.name, t.dtype, t.shape) for t in real] == [
            ("x", np.float32, SHAPE), ("y", np.uint8, SHAPE),
        ]  # fmt: skip
        assert (raw[0].dtype, library.outputs(raw=True)[0].dtype) == (np.uint8, np.uint8)
        assert library.outputs(raw=False)[0].dtype == np.float32
        assert [layer.shape for layer in library.layers()] == [SHAPE, SHAPE, (8, 2)]


def test_it_says_where_it_runs(place: Place):
    with place.open() as library:
        assert (library.device, library.image, library.emulated) == ("Fake 0", "sm_75", False)
        assert (library.arena_bytes, library.weights_bytes) == (256, WEIGHT.nbytes)
        assert (library.steps[2], len(library.steps)) == (("weighted", "add"), 7)


def test_every_scale_of_an_axis_is_told(place: Place, tmp_path: Path):
    form = Form("u8", SHAPE, (0.5, 0.25), (10, -3), 0)
    plan = replace(PLAN_SMALL, outputs=(Port("z", REAL, form),))
    with place.open(written(tmp_path, plan)) as library:
        found = library._lib
        tensor = (ctypes.c_char * 256)()
        assert found.qc_output(library._model, 0, 1, tensor) == 0
        assert read_unit(tensor) == ([0.5, 0.25], [10, -3], 0)


def read_unit(tensor) -> tuple[list[float], list[int], int]:
    """Scales, zero points and axis of a `qc_tensor`."""
    t = CTensor.from_buffer(tensor)
    return t.scales[: t.count], t.zero_points[: t.count], t.axis


def test_a_model_without_launches_runs(place: Place, tmp_path: Path):
    images = tuple(replace(image, entries={}) for image in PLAN_SMALL.images)
    plan = replace(PLAN_SMALL, launches=(), layers=(), images=images)
    with place.open(written(tmp_path, plan)) as library:
        assert library.run(drawn())[0].shape == SHAPE


def test_empty_tensors_and_memory_are_no_problem(place: Place, tmp_path: Path):
    nothing = Form("u8", (0, 4))
    images = tuple(replace(image, entries={}) for image in PLAN_SMALL.images)
    plan = Plan(
        "empty", "t4-int8", 0, 0, fingerprint([]), (Port("x", nothing, nothing),),
        (Port("z", nothing, nothing),), (), images, (),
    )  # fmt: skip
    (written(tmp_path, plan) / "weights.bin").write_bytes(b"")
    with place.open(tmp_path) as library:
        assert library.run([np.zeros((0, 4), np.uint8)])[0].shape == (0, 4)


def test_names_in_any_script_are_told(place: Place, tmp_path: Path):
    port = replace(PLAN_SMALL.inputs[0], name="画像")
    plan = replace(PLAN_SMALL, inputs=(port, PLAN_SMALL.inputs[1]))
    with place.open(written(tmp_path, plan)) as library:
        assert library.inputs(raw=False)[0].name == "画像"
