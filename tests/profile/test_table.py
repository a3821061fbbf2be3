"""A latency table reads back as it was written, and is refused for what it is not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qcompile.errors import ArtifactError, UsageError
from qcompile.profile.table import LatencyTable, Row, read_table, require_fits, write_table

ROWS = (
    Row("dot_14x14x16_k9_aa", "dot 1", 28224, 9000, 0.0022, 0.05),
    Row("map_10_bb", "map", 10, 384, 4e-05, 0.2),
)
TABLE = LatencyTable(
    target="x86-int8", device="some processor", threads=2, date="2025-01-31", clock="unknown",
    qcompile="0.1.0", rounds=7, call=0.02, emulated=False, rows=ROWS,
)  # fmt: skip


def require(
    path: Path,
    table: LatencyTable = TABLE,
    *,
    target: str = "x86-int8",
    device: str = "some processor",
    threads: int = 2,
) -> None:
    """That the table fits this run, which is that of `TABLE` where nothing else is said."""
    require_fits(table, path, target=target, device=device, threads=threads)


def test_it_reads_back_as_it_was_written(tmp_path):
    write_table(tmp_path / "table.json", TABLE)
    assert read_table(tmp_path / "table.json") == TABLE


def test_the_order_of_rows_does_not_matter(tmp_path):
    write_table(tmp_path / "a.json", TABLE)
    write_table(tmp_path / "b.json", replace(TABLE, rows=ROWS[::-1]))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_nothing_is_left_beside_it(tmp_path):
    write_table(tmp_path / "table.json", TABLE)
    assert [path.name for path in tmp_path.iterdir()] == ["table.json"]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(UsageError, match="cannot write"):
        write_table(tmp_path / "missing" / "table.json", TABLE)


def damaged(tmp_path, **changes):
    write_table(tmp_path / "table.json", TABLE)
    content = json.loads((tmp_path / "table.json").read_text())
    (tmp_path / "table.json").write_text(json.dumps(content | changes))
    return tmp_path / "table.json"


ROW = {"kernel": "k", "kind": "map", "macs": 1, "traffic": 1, "milliseconds": 1.0, "spread": 0.0}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"format": "other"}, "its format is not"),
        ({"version": 2}, "version 2"),
        ({"threads": "two"}, "threads of the table is 'two'"),
        ({"threads": 0}, "1 or more"),
        ({"threads": True}, "threads of the table is True"),
        ({"emulated": 1}, "emulated of the table is 1"),
        ({"call": float("nan")}, "call of the table is nan"),
        ({"call": -1.0}, "not negative"),
        ({"rows": []}, "no rows"),
        ({"rows": 7}, "not iterable"),
        ({"rows": [7]}, "row 0 is 7"),
        ({"rows": [ROW, ROW]}, "more than one row: k"),
        ({"rows": [ROW | {"milliseconds": 0.0}]}, r"row 0 \(k\)"),
        ({"rows": [ROW | {"milliseconds": float("inf")}]}, "milliseconds of row 0 is inf"),
        ({"rows": [ROW | {"macs": 0}]}, "out of range"),
        ({"rows": [{"kernel": "k"}]}, "has no 'kind'"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(changes, why, tmp_path):
    with pytest.raises(ArtifactError, match=why):
        read_table(damaged(tmp_path, **changes))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "7",
        "[]",
        "{",
        '{"rows": []}',
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_other_files_are_no_tables(content, tmp_path):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ArtifactError, match="no latency table"):
        read_table(tmp_path / "x.json")


def test_bytes_that_are_no_text_are_no_table(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArtifactError, match="no latency table"):
        read_table(tmp_path / "x.json")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ArtifactError, match="no latency table at"):
        read_table(tmp_path / "x.json")


def test_a_table_of_this_device_fits(tmp_path):
    require(tmp_path)


def test_where_the_target_does_not_run_the_table_s_word_counts(tmp_path):
    require(tmp_path, device="")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"device": "another"}, "measured on some processor, this is another"),
        ({"target": "arm64-int8"}, "holds times of x86-int8, the target is arm64-int8"),
        ({"threads": 1}, "measured with 2 threads, this run has 1: give --threads 2"),
    ],
)
def test_a_table_of_something_else_is_refused(changes, why, tmp_path):
    with pytest.raises(UsageError, match=why):
        require(tmp_path, **changes)


def test_emulated_times_are_refused(tmp_path):
    with pytest.raises(UsageError, match="on an emulator"):
        require(tmp_path, replace(TABLE, emulated=True))
