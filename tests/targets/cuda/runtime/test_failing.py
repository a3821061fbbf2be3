"""What fails while a model runs is told, leaves nothing behind, and can be gone on from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qcompile.errors import ArtifactError
from qcompile.targets.cuda.containers import contain
from qcompile.targets.cuda.plan import Launch, OutputOf, Phase
from tests.targets.cuda.small_model import (
    CUBINS,
    LAUNCHES,
    PLAN_SMALL,
    Fake,
    Place,
    cubin,
    drawn,
    real_result,
    written,
)  # fmt: skip


def test_a_wrong_input_is_refused_in_words(place: Place):
    x, y = drawn()
    with place.open() as library, pytest.raises(ArtifactError, match="x is float64"):
        library.run([x.astype(np.float64), y])


def test_a_kernel_that_fails_in_a_graph_is_named(place: Place, fake: Fake, tmp_path: Path):
    said = r"faulty \(kernel break.*illegal memory access"
    with place.open(broken(tmp_path)) as library, pytest.raises(ArtifactError, match=said):
        library.run(drawn())
    assert fake.alive == 0


def broken(folder: Path) -> Path:
    """A model with a launch that fails when it runs, but not when it is captured."""
    image, content = contain("sm_75", {**CUBINS, "break": cubin("break")}, min_driver=12000)
    launch = Launch("break", 1, 1, 0, (OutputOf(0),), Phase.BODY, "faulty")
    launches = (*LAUNCHES[:3], launch, *LAUNCHES[3:])
    written(folder, replace(PLAN_SMALL, images=(image,), launches=launches))
    (folder / image.file).write_bytes(content)
    return folder


def test_a_kernel_that_fails_step_by_step_is_named(place: Place, tmp_path: Path):
    library = place.open(broken(tmp_path), graphs=False)
    with library, pytest.raises(ArtifactError, match=r"faulty \(kernel break"):
        library.run(drawn())


def test_a_device_that_has_failed_is_not_blamed_on_a_node(place: Place, fake: Fake):
    with place.open() as library:
        library.run(drawn())
        fake.fail("cuStreamSynchronize", 700)
        with pytest.raises(ArtifactError, match="a kernel failed: an illegal"):
            library.run(drawn())


def test_after_a_failure_runs_go_on(place: Place, fake: Fake):
    x, y = drawn()
    with place.open() as library:
        fake.fail("cuMemcpyHtoDAsync_v2", 1)
        with pytest.raises(ArtifactError, match="cuMemcpyHtoDAsync"):
            library.run([x, y])
        np.testing.assert_array_equal(library.run([x, y])[0], real_result(x, y))


OPENING = {
    "cuInit": 1, "cuDriverGetVersion": 1, "cuDeviceGetCount": 1, "cuDeviceGet": 1,
    "cuDeviceGetName": 1, "cuDeviceGetAttribute": 2, "cuDevicePrimaryCtxRetain": 1,
    "cuCtxPushCurrent_v2": 1, "cuCtxPopCurrent_v2": 1, "cuStreamCreate": 1, "cuModuleLoadData": 5,
    "cuModuleGetFunction": 5, "cuMemAlloc_v2": 5, "cuMemcpyHtoDAsync_v2": 1,
    "cuStreamSynchronize": 1,
}  # fmt: skip
CALLS = [(name, call + 1) for name, count in OPENING.items() for call in range(count)]
RUNNING = (
    "cuCtxPushCurrent_v2", "cuMemcpyHtoDAsync_v2", "cuStreamBeginCapture_v2", "cuLaunchKernel",
    "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphLaunch", "cuMemcpyDtoHAsync_v2",
    "cuStreamSynchronize", "cuCtxPopCurrent_v2",
)  # fmt: skip


@pytest.mark.parametrize(("function", "call"), CALLS)
def test_every_failure_while_opening_leaves_nothing_behind(
    function: str, call: int, place: Place, fake: Fake
):
    fake.fail(function, 999, call=call)
    with pytest.raises(ArtifactError, match="CUDA error 999"):
        place.open()
    assert fake.alive == 0


@pytest.mark.parametrize("function", RUNNING)
def test_every_failure_while_running_is_told(function: str, place: Place, fake: Fake):
    library = place.open()
    fake.fail(function, 999)
    with pytest.raises(ArtifactError, match="CUDA error 999"):
        library.run(drawn())
    library.close()
    assert fake.alive == 0


def test_closing_gives_everything_back(place: Place, fake: Fake):
    library = place.open()
    library.run(drawn())
    library.trace(drawn())
    assert fake.alive > 0
    library.close()
    library.close()
    assert fake.alive == 0


def test_models_are_independent(place: Place):
    x, y = drawn()
    first, second = place.open(), place.open()
    first.run(drawn(1))
    first.close()
    np.testing.assert_array_equal(second.run([x, y])[0], real_result(x, y))
    second.close()
