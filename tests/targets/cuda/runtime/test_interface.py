"""The C interface: null pointers, indices, sizes, codes."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.targets.cuda.small_model import (
    FILES,
    WEIGHT,
    Fake,
    Place,
    written,
)  # fmt: skip


@pytest.fixture
def c(place: Place) -> ctypes.CDLL:
    library = ctypes.CDLL(str(place.library))
    library.qc_error_text.restype = library.qc_last_error.restype = ctypes.c_char_p
    library.qc_device.restype = library.qc_step_name.restype = ctypes.c_char_p
    return library


def test_null_pointers_are_errors(c: ctypes.CDLL):
    text = ctypes.create_string_buffer(100)
    model = ctypes.c_void_p(1)
    assert c.qc_open(b"x", None, None, text, ctypes.c_size_t(100)) == 1
    assert b"null" in text.value
    assert c.qc_open(None, None, ctypes.byref(model), text, ctypes.c_size_t(100)) == 1
    assert model.value is None
    assert c.qc_open(None, None, ctypes.byref(model), None, ctypes.c_size_t(0)) == 1
    assert c.qc_run(None, None, None, 0) == 1
    assert c.qc_run_device(None, None, None, None, 0) == 1
    assert c.qc_trace(None, None, None, 0, None, None) == 1
    assert c.qc_input(None, 0, 0, None) == 1
    assert c.qc_last_error(None) == b""
    assert c.qc_device(None) == b""
    assert c.qc_input_count(None) == 0
    c.qc_close(None)


def test_null_pointers_at_a_run_are_named(c: ctypes.CDLL, place: Place):
    memory = ctypes.create_string_buffer(256)
    good = (ctypes.c_void_p * 2)(ctypes.addressof(memory), ctypes.addressof(memory))
    half = (ctypes.c_void_p * 2)(ctypes.addressof(memory), None)
    none = (ctypes.c_void_p * 1)(None)
    with place.open() as library:
        model = library._model
        assert c.qc_run(model, half, good, 0) == 1
        assert c.qc_last_error(model) == b"input 1 (y) is a null pointer"
        assert c.qc_run(model, good, none, 0) == 1
        assert c.qc_last_error(model) == b"output 0 (z) is a null pointer"
        assert c.qc_run(model, None, good, 0) == 1
        assert c.qc_run(model, good, None, 0) == 1
        assert c.qc_run_device(model, good, None, None, 0) == 1
        assert c.qc_run(model, good, good, 4) == 1
        assert b"flags 4" in c.qc_last_error(model)
        assert c.qc_trace(model, good, None, 0, None, None) == 1


@pytest.mark.parametrize("index", [-1, 2, 1 << 30])
def test_indices_out_of_range_are_errors(index: int, c: ctypes.CDLL, place: Place):
    tensor = ctypes.create_string_buffer(256)
    with place.open() as library:
        assert c.qc_input(library._model, index, 0, tensor) == 1
        assert b"of 2" in c.qc_last_error(library._model)
        assert c.qc_output(library._model, index, 0, tensor) == 1
        assert c.qc_layer(library._model, index + 1 if index > 0 else -1, tensor) == 1
        assert c.qc_step_name(library._model, index + 7 if index > 0 else -1) == b""


def test_options_of_another_size_are_refused(c: ctypes.CDLL):
    text, model = ctypes.create_string_buffer(200), ctypes.c_void_p()
    options = (ctypes.c_size_t * 4)(99)
    assert c.qc_open(b"x", options, ctypes.byref(model), text, ctypes.c_size_t(200)) == 1
    assert b"options of 99 bytes" in text.value


def test_a_path_beyond_all_limits_is_refused(c: ctypes.CDLL):
    text, model = ctypes.create_string_buffer(200), ctypes.c_void_p()
    path = b"x" * 5000
    assert c.qc_open(path, None, ctypes.byref(model), text, ctypes.c_size_t(200)) == 1
    assert b"too long" in text.value


def test_every_code_has_its_own_words(c: ctypes.CDLL):
    texts = [c.qc_error_text(code) for code in range(12)]
    assert len(set(texts)) == 12
    assert b"unknown code" not in texts
    assert c.qc_error_text(12) == c.qc_error_text(-1) == b"unknown code"


def other_version(folder: Path) -> None:
    data = (folder / "plan.bin").read_bytes()
    (folder / "plan.bin").write_bytes(data[:8] + b"\2" + data[9:])


CODES: dict[int, Callable[[Fake, Path], object]] = {
    2: lambda fake, folder: (folder / "weights.bin").unlink(),
    3: lambda fake, folder: (folder / "weights.bin").write_bytes(bytes(WEIGHT.nbytes)),
    4: lambda fake, folder: other_version(folder),
    6: lambda fake, folder: fake.c.fake_version(10000),
    7: lambda fake, folder: fake.c.fake_devices(0),
    8: lambda fake, folder: fake.c.fake_capability(5, 0),
    9: lambda fake, folder: fake.c.fake_memory(10),
    11: lambda fake, folder: fake.fail("cuStreamCreate", 999),
}


@pytest.mark.parametrize("code", list(CODES))
def test_every_cause_has_its_code(code: int, c: ctypes.CDLL, fake: Fake, tmp_path: Path):
    CODES[code](fake, written(tmp_path))
    assert opened(c, tmp_path, fake.path) == code


def test_a_missing_driver_has_its_code(c: ctypes.CDLL, tmp_path: Path):
    assert opened(c, written(tmp_path), Path("/nowhere/driver.so")) == 5


def opened(c: ctypes.CDLL, folder: Path, driver: Path) -> int:
    """The code of an opening that fails, with a text and without a model."""
    options = Options(ctypes.sizeof(Options), str(driver).encode(), 0, 1, 0)
    text, model = ctypes.create_string_buffer(500), ctypes.c_void_p()
    path, size = str(folder).encode(), ctypes.c_size_t(500)
    code = c.qc_open(path, ctypes.byref(options), ctypes.byref(model), text, size)
    assert model.value is None
    assert text.value != b""
    return code


class Options(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_size_t), ("driver", ctypes.c_char_p), ("device", ctypes.c_int32),
        ("graphs", ctypes.c_int32), ("unchecked", ctypes.c_int32),
    )  # fmt: skip


def test_the_files_of_the_small_model_are_whole_words():
    assert all(len(data) % 64 == 0 for data in FILES.values())
