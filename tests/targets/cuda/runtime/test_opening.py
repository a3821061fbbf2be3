"""Which device and image are taken; and every reason not to open a model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qcompile.errors import ArtifactError
from qcompile.targets.checksum import fingerprint
from qcompile.targets.cuda.containers import contain
from qcompile.targets.cuda.library import CudaLibrary
from tests.targets.cuda.small_model import (
    CUBINS,
    IMAGE,
    LAUNCHES,
    PLAN_SMALL,
    PTX_IMAGE,
    WEIGHT,
    Fake,
    Place,
    cubin,
    drawn,
    ptx,
    raw_result,
    real_result,
    written,
)  # fmt: skip


@pytest.mark.parametrize(
    ("capability", "image"),
    [((7, 5), "sm_75"), ((8, 6), "ptx_75"), ((9, 0), "ptx_75"), ((12, 0), "ptx_75")],
)
def test_the_nearest_image_is_taken(capability, image: str, place: Place, fake: Fake):
    fake.c.fake_capability(*capability)
    x, y = drawn()
    with place.open() as library:
        assert library.image == image
        np.testing.assert_array_equal(library.run([x, y])[0], real_result(x, y))


@pytest.mark.parametrize(
    ("archs", "capability", "image"),
    [
        (("sm_80", "sm_86", "ptx_80"), (8, 9), "sm_86"),
        (("sm_86", "sm_80", "ptx_80"), (8, 0), "sm_80"),
        (("sm_80", "ptx_75", "ptx_80"), (9, 0), "ptx_80"),
        (("sm_90", "sm_90a", "ptx_80"), (9, 0), "sm_90a"),
        (("sm_120a", "ptx_90", "ptx_120a"), (12, 1), "ptx_90"),
        (("sm_86", "sm_87", "ptx_80"), (8, 7), "sm_87"),
        (("sm_87", "ptx_80"), (8, 9), "ptx_80"),
        (("sm_86", "ptx_80"), (8, 7), "ptx_80"),
    ],
)
def test_of_many_images_the_best_is_taken(
    archs, capability, image: str, place: Place, fake: Fake, tmp_path: Path
):
    plan = replace(PLAN_SMALL, images=tuple(image_for(arch) for arch in archs))
    fake.c.fake_capability(*capability)
    with place.open(written(tmp_path, plan)) as library:
        assert library.image == image


def image_for(arch: str):
    """Another name for one of the two files."""
    return replace(PTX_IMAGE if arch.startswith("ptx") else IMAGE, arch=arch)


def test_a_device_for_which_there_is_nothing_is_named(place: Place, fake: Fake):
    fake.c.fake_capability(7, 0)
    with pytest.raises(ArtifactError, match=r"Fake 0 .* 7\.0, the kernels are for sm_75, ptx_75"):
        place.open()


def test_an_old_driver_is_told_what_it_lacks(place: Place, fake: Fake):
    fake.c.fake_version(11040)
    with pytest.raises(ArtifactError, match=r"supports CUDA 11\.4, the kernels .* need 12\.[04]"):
        place.open()


def test_a_driver_too_old_for_ptx_runs_machine_code(place: Place, fake: Fake):
    fake.c.fake_version(12020)
    with place.open() as library:
        assert library.image == "sm_75"


def test_a_driver_too_old_for_ptx_is_told_where_only_ptx_fits(place: Place, fake: Fake):
    fake.c.fake_version(12020)
    fake.c.fake_capability(8, 0)
    with pytest.raises(ArtifactError, match=r"supports CUDA 12\.2, .*ptx_75\) need 12\.4"):
        place.open()


def test_a_missing_driver_is_named(place: Place):
    with pytest.raises(ArtifactError, match=r"driver cannot be opened: .*no-such\.so"):
        CudaLibrary(place.library, place.folder, driver=Path("/nowhere/no-such.so"))


def test_a_library_that_is_no_driver_is_named(place: Place):
    with pytest.raises(ArtifactError, match="has no function cuInit"):
        CudaLibrary(place.library, place.folder, driver=place.library)


def test_a_missing_library_is_named(place: Place, tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"lib\.so"):
        CudaLibrary(tmp_path / "lib.so", place.folder)


@pytest.mark.parametrize(("devices", "device"), [(0, 0), (1, 1), (1, -1)])
def test_a_missing_device_is_an_error(devices: int, device: int, place: Place, fake: Fake):
    fake.c.fake_devices(devices)
    with pytest.raises(ArtifactError, match=r"no CUDA-capable device|device -?1 of 1"):
        place.open(device=device)


def test_the_second_device_is_found(place: Place, fake: Fake):
    fake.c.fake_devices(2)
    with place.open(device=1) as library:
        assert library.device == "Fake 1"


@pytest.mark.parametrize(("memory", "what"), [(100, "weights"), (300, "values"), (1100, "z")])
def test_too_little_memory_is_said(memory: int, what: str, place: Place, fake: Fake):
    fake.c.fake_memory(memory)
    with pytest.raises(ArtifactError, match=f"bytes on the device for {what}: out of memory"):
        place.open()
    assert fake.alive == 0


@pytest.mark.parametrize("file", ["plan.bin", "weights.bin", "kernels-sm_75.bin"])
def test_a_missing_file_is_named(file: str, place: Place, tmp_path: Path):
    (written(tmp_path) / file).unlink()
    with pytest.raises(ArtifactError, match=f"{file}: No such file"):
        place.open(tmp_path)


def test_a_folder_in_place_of_a_file_is_refused(place: Place, tmp_path: Path):
    (written(tmp_path) / "plan.bin").unlink()
    (tmp_path / "plan.bin").mkdir()
    with pytest.raises(ArtifactError, match=r"plan\.bin is no file"):
        place.open(tmp_path)


@pytest.mark.parametrize("file", ["plan.bin", "weights.bin", "kernels-sm_75.bin"])
@pytest.mark.parametrize("damage", ["short", "longer", "changed", "empty"])
def test_a_damaged_file_is_named(damage: str, file: str, place: Place, fake: Fake, tmp_path: Path):
    data = (written(tmp_path) / file).read_bytes()
    flipped = bytes([data[70] ^ 1])
    damaged = {
        "short": data[:-8], "longer": data + bytes(8), "empty": b"",
        "changed": data[:70] + flipped + data[71:],
    }[damage]  # fmt: skip
    (tmp_path / file).write_bytes(damaged)
    with pytest.raises(ArtifactError, match=file):
        place.open(tmp_path)
    assert fake.alive == 0


def test_an_image_that_is_not_used_may_be_missing(place: Place, tmp_path: Path):
    (written(tmp_path) / "kernels-ptx.bin").unlink()
    place.open(tmp_path).close()


def test_damaged_weights_run_if_asked(place: Place, tmp_path: Path):
    x, y = drawn()
    damaged = WEIGHT.copy()
    damaged[64] += 1
    (written(tmp_path) / "weights.bin").write_bytes(damaged.tobytes())
    with place.open(tmp_path, checked=False) as library:
        found = library.run([x, y], raw_outputs=True)[0]
    difference = found - raw_result(x, y)
    assert (difference[0, 0], np.count_nonzero(difference)) == (1, 1)


def test_weights_of_another_length_never_run(place: Place, tmp_path: Path):
    (written(tmp_path) / "weights.bin").write_bytes(bytes(64))
    with pytest.raises(ArtifactError, match="64 bytes, the model needs 128"):
        place.open(tmp_path, checked=False)


def test_a_plan_of_another_version_is_named(place: Place, tmp_path: Path):
    data = bytearray((written(tmp_path) / "plan.bin").read_bytes())
    data[8] = 2
    (tmp_path / "plan.bin").write_bytes(data)
    with pytest.raises(ArtifactError, match="has version 2, this library reads version 1"):
        place.open(tmp_path)


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        (cubin("other"), "there is no kernel copy where the plan says"),
        (b"text".ljust(128), "kernel copy is no cubin"),
        (b"\x7fELF", "kernel copy is no cubin"),
    ],
)
def test_an_image_with_something_else_in_it_is_refused(
    kernel: bytes, said: str, place: Place, tmp_path: Path
):
    image, content = contain("sm_75", {**CUBINS, "copy": kernel}, min_driver=12000)
    written(tmp_path, replace(PLAN_SMALL, images=(image,)))
    (tmp_path / image.file).write_bytes(content)
    with pytest.raises(ArtifactError, match=said):
        place.open(tmp_path)


def test_a_text_without_an_end_is_refused(place: Place, tmp_path: Path):
    data = ptx("copy").ljust(64)
    entries = dict.fromkeys(PLAN_SMALL.kernels, (0, 64))
    image = replace(
        PTX_IMAGE, bytes=64, fingerprint=fingerprint([data]), entries=entries
    )  # fmt: skip
    written(tmp_path, replace(PLAN_SMALL, images=(image,)))
    (tmp_path / image.file).write_bytes(data)
    with pytest.raises(ArtifactError, match="is no PTX text"):
        place.open(tmp_path)


def test_an_image_that_the_driver_refuses_is_corrupt(place: Place, fake: Fake):
    fake.fail("cuModuleLoadData", 200, call=3)
    with pytest.raises(ArtifactError, match=r"kernels-sm_75\.bin: kernel add is refused"):
        place.open()


def test_ptx_of_a_later_version_asks_for_another_driver(place: Place, fake: Fake):
    fake.fail("cuModuleLoadData", 222)
    with pytest.raises(ArtifactError, match="update the driver"):
        place.open()


def test_much_shared_memory_is_asked_for(place: Place, fake: Fake, tmp_path: Path):
    large = replace(LAUNCHES[2], shared=60 << 10)
    plan = replace(PLAN_SMALL, launches=(*LAUNCHES[:2], large, *LAUNCHES[3:]))
    fake.c.fake_log()
    place.open(written(tmp_path, plan)).close()
    assert fake.calls.count("cuFuncSetAttribute") == 1


def test_too_much_shared_memory_names_the_kernel(place: Place, tmp_path: Path):
    large = replace(LAUNCHES[2], shared=100 << 10)
    plan = replace(PLAN_SMALL, launches=(*LAUNCHES[:2], large, *LAUNCHES[3:]))
    with pytest.raises(ArtifactError, match="kernel add: 102400 bytes of shared memory"):
        place.open(written(tmp_path, plan))
