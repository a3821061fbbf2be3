"""Tables of measured times: read back as written, of the right chip, nothing twice."""

import json

import pytest

from qcompile.errors import ArtifactError, UsageError
from qcompile.targets.cuda.devices import A10, T4
from qcompile.targets.cuda.measured import MeasuredTable, Row, read_measured, write_measured
from qcompile.targets.cuda.tiles import Tile
from qcompile.targets.cuda.work import Work

TILE = Tile(64, 64, 32, 32, stages=2)
WORK = Work(
    49, 512, 4608, bits=8, weight_bits=8, input_bytes=25088, weight_bytes=2359296,
    output_bytes=25088,
)  # fmt: skip
ROW = Row(WORK.name, TILE.name, 4, 0.0125, 0.02)
OTHER = Row(WORK.name, TILE.name, 2, 0.02, 0.01)


def table(*rows: Row) -> MeasuredTable:
    return MeasuredTable("t4", "Tesla T4", "2030-01-01", "550.54.15", 1590, rows)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t4.json"


def test_a_table_is_read_as_it_was_written(path):
    write_measured(path, table(OTHER, ROW))
    assert read_measured(path, chip=T4) == table(OTHER, ROW)


def test_the_order_of_measuring_does_not_show(path, tmp_path):
    write_measured(path, table(ROW, OTHER))
    write_measured(tmp_path / "again.json", table(OTHER, ROW))
    assert path.read_bytes() == (tmp_path / "again.json").read_bytes()


def test_a_kernel_is_found_by_work_tile_and_parts():
    measured = table(ROW, OTHER)
    assert measured.find(WORK, tile=TILE, splits=4) == 0.0125
    assert measured.find(WORK, tile=TILE, splits=2) == 0.02
    assert measured.find(WORK, tile=TILE, splits=1) is None


def test_a_table_of_another_chip_is_refused(path):
    write_measured(path, table(ROW))
    with pytest.raises(UsageError, match=r"measured on t4 \(Tesla T4\), the target is a10"):
        read_measured(path, chip=A10)


def test_a_missing_file_is_said(path):
    with pytest.raises(ArtifactError, match="FileNotFoundError"):
        read_measured(path, chip=T4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"driver": None}, "driver is None"),
        ({"chip": 75}, "chip is 75"),
        ({"rows": [{"work": "m1"}]}, "KeyError.*tile"),
        ({"rows": [{"work": "m", "tile": "t", "splits": "1"}]}, "splits is '1'"),
    ],
    ids=["no driver", "a number for a chip", "half a row", "words for numbers"],
)
def test_a_table_of_another_form_is_refused(path, change, said):
    write_measured(path, table(ROW))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ArtifactError, match=said):
        read_measured(path, chip=T4)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": 3}'])
def test_a_file_that_is_no_table_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(ArtifactError, match="is not a table of measured times"):
        read_measured(path, chip=T4)


def test_a_kernel_measured_twice_is_refused(path):
    write_measured(path, table(ROW, ROW))
    with pytest.raises(ArtifactError, match="measured twice"):
        read_measured(path, chip=T4)


@pytest.mark.parametrize("milliseconds", [0.0, -1.0, float("nan")])
def test_a_time_must_be_positive(path, milliseconds):
    write_measured(path, table(Row(WORK.name, TILE.name, 1, milliseconds, 0.0)))
    with pytest.raises(ArtifactError, match="milliseconds"):
        read_measured(path, chip=T4)


def test_instructions_of_finishing_do_not_make_other_work():
    assert Work(1, 2, 64, 8, 8, 64, 128, 2, finish_instructions=99).name == "m1n2k64b8w8-64-128-0-2"
