"""The input's or the user's fault: exit code 2, one message, and nothing written."""

import errno
import resource
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.cli.conftest import network


def compiling(model, *others):
    return (model, "--target", "reference", "-o", "out", "--quiet", *others)


def saved(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.fixture(autouse=True)
def nothing_is_written(qcompile):
    yield
    left = [p.name for p in Path.cwd().iterdir() if p.name not in ("given", "old")]
    assert left == []


def test_a_missing_model_is_named(qcompile):
    assert qcompile(*compiling("nowhere.onnx")).refused("nowhere.onnx", "is missing")


def test_a_truncated_model_says_so(qcompile, model, tmp_path):
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(model.read_bytes()[:500])
    assert qcompile(*compiling(cut)).refused("cut.onnx", "export or copy it again")


def test_a_text_file_is_no_model(qcompile, tmp_path):
    text = tmp_path / "text.onnx"
    text.write_text("this is not a model\n")
    assert qcompile(*compiling(text)).refused("text.onnx", "no ONNX")


def test_a_file_of_unknown_kind_says_what_is_wanted(qcompile, tmp_path):
    other = tmp_path / "model.bin"
    other.write_bytes(b"1")
    assert qcompile(*compiling(other)).refused("model.bin", "model.onnx, model.pt2")


def test_an_undefined_value_is_named_with_its_reader(qcompile, tmp_path):
    broken = network()
    broken.graph.node[1].input[0] = "missing_value"
    onnx.save(broken, tmp_path / "dangling.onnx")
    assert qcompile(*compiling(tmp_path / "dangling.onnx")).refused("missing_value", "Relu")


def test_an_open_dimension_shows_how_to_bind_it(qcompile, tmp_path):
    onnx.save(network("n"), tmp_path / "open.onnx")
    ended = qcompile(*compiling(tmp_path / "open.onnx"))
    assert ended.refused("'x'", "--input-shape x=1x3x8x8")


def test_a_bound_dimension_compiles(qcompile, tmp_path):
    onnx.save(network("n"), tmp_path / "open.onnx")
    ended = qcompile(*compiling(tmp_path / "open.onnx", "--input-shape", "x=1x3x8x8"))
    shutil.rmtree("out")
    assert ended.code == 0


def test_samples_bind_an_open_dimension(qcompile, tmp_path):
    onnx.save(network("n"), tmp_path / "open.onnx")
    samples = saved(tmp_path / "x.npz", x=np.ones((4, 3, 8, 8), np.float32))
    ended = qcompile(*compiling(tmp_path / "open.onnx", "--calib", samples))
    shutil.rmtree("out")
    assert ended.code == 0


def test_samples_of_another_model_bind_nothing(qcompile, tmp_path):
    onnx.save(network("n"), tmp_path / "open.onnx")
    wrong = saved(tmp_path / "wrong.npz", x=np.zeros((4, 3, 9, 9), np.float32))
    ended = qcompile(*compiling(tmp_path / "open.onnx", "--calib", wrong))
    assert ended.refused("'x'", "--input-shape x=1x3x8x8")


def test_an_input_shape_without_a_name_shows_the_form(qcompile, model):
    ended = qcompile(*compiling(model, "--input-shape", "1x3x8x8"))
    assert ended.refused("1x3x8x8", "x=1x3x224x224")


def test_an_input_shape_with_letters_names_the_wrong_part(qcompile, model):
    ended = qcompile(*compiling(model, "--input-shape", "x=1xNx8x8"))
    assert ended.refused("'N'", "whole numbers")


def test_an_input_shape_for_no_input_lists_the_inputs(qcompile, model):
    assert qcompile(*compiling(model, "--input-shape", "z=1x3x8x8")).refused("'z'", "are x")


def test_samples_of_a_wrong_shape_say_the_right_one(qcompile, model, tmp_path):
    wrong = saved(tmp_path / "wrong.npz", x=np.zeros((4, 3, 9, 9), np.float32))
    ended = qcompile(*compiling(model, "--calib", wrong))
    assert ended.refused("wrong.npz", "'x'", "3, 8, 8", "(4, 3, 9, 9)")


def test_samples_of_a_wrong_dtype_say_both(qcompile, model, tmp_path):
    wrong = saved(tmp_path / "wrong.npz", x=np.zeros((4, 3, 8, 8), np.uint8))
    ended = qcompile(*compiling(model, "--calib", wrong))
    assert ended.refused("'x'", "float32", "uint8", "convert")


def test_samples_of_a_wrong_name_say_what_is_there(qcompile, model, tmp_path):
    wrong = saved(tmp_path / "wrong.npz", image=np.zeros((4, 3, 8, 8), np.float32))
    assert qcompile(*compiling(model, "--calib", wrong)).refused("image", "input 'x'")


def test_samples_with_nan_name_the_sample(qcompile, model, tmp_path):
    values = np.zeros((4, 3, 8, 8), np.float32)
    values[2, 1, 0, 0] = np.nan
    wrong = saved(tmp_path / "wrong.npz", x=values)
    assert qcompile(*compiling(model, "--calib", wrong)).refused("sample 2", "'x'", "NaN")


def test_no_samples_at_all_ask_for_one(qcompile, model, tmp_path):
    empty = saved(tmp_path / "empty.npz", x=np.zeros((0, 3, 8, 8), np.float32))
    assert qcompile(*compiling(model, "--calib", empty)).refused("empty.npz", "at least one")


def test_an_empty_calibration_folder_is_named(qcompile, model, tmp_path):
    (tmp_path / "samples").mkdir()
    assert qcompile(*compiling(model, "--calib", tmp_path / "samples")).refused("no .npz or .npy")


def test_a_missing_calibration_file_is_named(qcompile, model):
    assert qcompile(*compiling(model, "--calib", "none.npz")).refused("none.npz")


def test_a_calibration_callable_that_raises_is_the_users(qcompile, model, tmp_path, monkeypatch):
    (tmp_path / "my_samples.py").write_text("def draw():\n    raise RuntimeError('no camera')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert qcompile(*compiling(model, "--calib", "my_samples:draw")).refused("no camera")


def test_an_unknown_target_suggests_near_names(qcompile, model):
    ended = qcompile(model, "--target", "onnx-itn", "-o", "out")
    assert ended.refused("'onnx-itn'", "onnx-int", "qcompile targets")


def test_a_target_of_later_work_says_so(qcompile, model):
    assert qcompile(model, "--target", "l4-fp8").refused("l4-fp8", "not yet")


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        ("W4A16-token", "leave -token out"),
        ("W8A8-g128", "8-bit weights gain nothing"),
        ("W4A8-g4", "groups have 8 weights or more"),
    ],
)
def test_a_scheme_that_makes_no_sense_says_why(qcompile, model, scheme, words):
    assert qcompile(*compiling(model, "--scheme", scheme)).refused("--scheme", words)


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        ("int4", "give W8A8, W4A8 or W4A4"),
        ("W1A8", "weights have 2 to 8 bits"),
        ("W8A5", "activations have 4 or 8 bits"),
        ("nosuch=W4A4", "nosuch matches no operation"),
    ],
)
def test_a_scheme_that_is_none_says_which_there_are(qcompile, model, scheme, words):
    assert qcompile(*compiling(model, "--scheme", scheme)).refused("--scheme", words)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--max-drop", "1"), ("--max-drop 1", "give a percentage, such as 1%")),
        (("--max-drop", "101%"), ("--max-drop 101%", "give 0% to 100%")),
        (("--max-drop", "1%"), ("--max-drop is measured on samples", "--calib")),
        (("--metric", "error"), ("--metric is measured on samples", "--calib")),
        (("--metric", "accuracy"), ("'accuracy'", "auto, error, top1", "module:callable")),
        (("--float-layers", "-1"), ("--float-layers -1", "give 0 or more")),
        (("--float-layers", "2"), ("--float-layers is for --bits auto",)),
        (("--estimator", "output-error"), ("--estimator is for --bits auto",)),
        (("--budget", "size=1MB"), ("--budget is for --bits auto",)),
        (("--bits", "auto", "--budget", "size=1"), ("size=1 has no unit", "give one of B, KB")),
        (("--bits", "auto", "--budget", "size=1KB"), ("--calib",)),
        (("--resume",), ("--resume", "no run to out was ended")),
    ],
    ids=lambda asked: " ".join(asked),
)
def test_a_wish_that_makes_no_sense_is_refused(qcompile, model, asked, words):
    assert qcompile(*compiling(model, *asked)).refused(*words)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            ("--estimator", "guess", "--budget", "size=100B"),
            ("no estimator 'guess'", "output-error", "hessian-trace"),
        ),
        (("--budget", "size=100B", "--metric", "nowhere:mine"), ("--metric nowhere:mine",)),
        (("--metric", "error"), ("--bits auto wants a limit", "--max-drop 1%")),
        (("--budget", "size=10B"), ("--budget cannot be met", "nearest that can is size=")),
        (("--plan", "plan.json"), ("--plan holds earlier choices",)),
    ],
    ids=lambda asked: " ".join(asked),
)
def test_a_choice_that_cannot_be_made_is_refused(qcompile, model, calib, asked, words):
    ended = qcompile(*compiling(model, "--calib", calib, "--bits", "auto", *asked))
    assert ended.refused(*words)


def test_two_schemes_for_all_layers_are_one_too_many(qcompile, model):
    ended = qcompile(*compiling(model, "--scheme", "W4A4", "--scheme", "W4A8"))
    assert ended.refused("--scheme W4A4", "--scheme W4A8")


def test_an_unknown_verb_suggests_near_ones(qcompile):
    assert qcompile("verfy", "x").refused("'verfy'", "verify")


def test_a_sample_file_of_another_kind_is_no_npz(qcompile, model):
    assert qcompile(*compiling(model, "--calib", model)).refused("small.onnx", "numpy.savez")


def test_a_folder_under_a_file_cannot_be_written(qcompile, model):
    ended = qcompile(model, "--target", "reference", "-o", model / "out")
    assert ended.refused("small.onnx", "--output")


def test_an_unknown_option_points_to_help(qcompile, model):
    assert qcompile(*compiling(model, "--tagret", "x")).refused("--tagret", "--help")


def test_a_missing_target_is_asked_for(qcompile, model):
    assert qcompile(model).refused("--target")


def test_an_exclusion_of_nothing_suggests_near_names(qcompile, model):
    assert qcompile(*compiling(model, "--exclude", "op:LSTM")).refused("op:LSTM", "no operation")


def test_a_float_island_is_an_error_under_strict(qcompile, tmp_path):
    odd = network()
    odd.graph.node[1].op_type = "Sin"
    onnx.save(odd, tmp_path / "odd.onnx")
    ended = qcompile(*compiling(tmp_path / "odd.onnx", "--strict"))
    assert ended.refused("float islands under --strict", "r: sin")


def test_a_folder_that_exists_is_kept(qcompile, model, built):
    ended = qcompile(model, "--target", "reference", "-o", built)
    assert ended.refused("exists", "--force")


def test_force_does_not_replace_what_is_no_artifact(qcompile, model):
    precious = Path("given")
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    ended = qcompile(model, "--target", "reference", "-o", precious, "--force")
    assert ended.refused("is no artifact")
    assert (precious / "thesis.txt").read_text() == "years of work"


def test_a_full_disk_leaves_the_old_artifact(qcompile, model, built, small_files):
    shutil.copytree(built, "old")
    with small_files:
        ended = qcompile(model, "--target", "reference", "-o", "old", "--force", "--quiet")
    assert ended.refused("no room on the disk", "nothing was changed")
    assert qcompile("verify", "old").code == 0


def test_a_full_disk_leaves_no_new_folders(qcompile, model, small_files):
    with small_files:
        ended = qcompile(model, "--target", "reference", "-o", "new/deep/out", "--quiet")
    assert ended.refused("no room on the disk")


def test_a_full_disk_leaves_no_half_written_results(qcompile, built, calib):
    with SmallFiles(100):
        ended = qcompile("run", built, "--input", calib, "-o", "y.npz")
    assert ended.refused("cannot write y.npz")


def test_a_disk_that_fills_up_under_a_zip_is_seen(qcompile, model, monkeypatch):
    def full(*arguments: object) -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise ValueError("Can't close the ZIP file while there is an open writing handle")

    monkeypatch.setattr("qcompile.golden.write_npz", full)
    assert qcompile(*compiling(model)).refused("no room on the disk")


class SmallFiles:
    """Inside, a file that grows past `size` bytes fails as on a full disk."""

    def __init__(self, size: int = 2000) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *failure: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


@pytest.fixture
def small_files() -> SmallFiles:
    return SmallFiles()
