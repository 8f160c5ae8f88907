from __future__ import annotations

import base64
import csv
import datetime as dt
import shutil
import signal
import stat
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchkit import jsonl
from batchkit.errors import SetupError
from batchkit.tables.csv import csv_table
from batchkit.tables.written import write_csv, write_jsonl, write_parquet
from tests.disaster import (
    exit_code,
    open_folder,
    rows,
    write_and_die,
    write_on_a_full_disk,
    write_where_it_may_not,
)

if TYPE_CHECKING:
    from pathlib import Path

TABLE = pa.table({"id": [1, 2], "text": ["a", None]})
AT = dt.datetime(2026, 11, 23, 10, tzinfo=dt.UTC)


def parquet(table: pa.Table, path: Path, *, may_replace: bool = False) -> Path:
    return write_parquet(table.to_reader(), path, may_replace=may_replace)


def lines(path: Path) -> list[Any]:
    return [jsonl.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def fields(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_parquet_is_one_file_or_a_folder_by_how_the_path_ends(tmp_path: Path) -> None:
    file = parquet(TABLE, tmp_path / "deep" / "out.parquet")
    folder = parquet(TABLE, tmp_path / "out")
    assert pq.read_table(file).equals(TABLE)
    assert pq.read_table(folder).equals(TABLE)
    assert [path.name for path in folder.iterdir()] == ["part-00000.parquet"]


def test_a_file_is_replaced_and_a_folder_with_files_is_not(tmp_path: Path) -> None:
    parquet(TABLE, tmp_path / "out.parquet")
    parquet(TABLE.slice(1), tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(SetupError, match="mine holds files already: name a new folder"):
        parquet(TABLE, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_folder_that_may_be_replaced_holds_nothing_of_before(tmp_path: Path) -> None:
    parquet(TABLE, tmp_path / "results")
    (tmp_path / "results" / "part-00009.parquet").touch()
    parquet(TABLE.slice(1), tmp_path / "results", may_replace=True)
    assert pq.read_table(tmp_path / "results").equals(TABLE.slice(1))
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert pq.read_table(parquet(TABLE, tmp_path / "out")).equals(TABLE)


def test_a_file_without_the_ending_is_never_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out.pq").write_text("mine")
    with pytest.raises(SetupError, match=r"out\.pq is a file: name a new folder"):
        parquet(TABLE, tmp_path / "out.pq", may_replace=True)
    assert (tmp_path / "out.pq").read_text() == "mine"


def test_many_rows_are_several_groups_and_several_files(tmp_path: Path) -> None:
    count = 1_200_000
    table = pa.table({"n": pa.array(np.arange(count))})
    folder = write_parquet(table.to_reader(9_999), tmp_path / "out", may_replace=False)
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == ["part-00000.parquet", "part-00001.parquet"]
    assert pq.read_table(folder).equals(table)
    first = pq.read_metadata(files[0])
    groups = [first.row_group(i).num_rows for i in range(first.num_row_groups)]
    assert len(groups) == 8
    assert max(groups) < 150_000


@pytest.mark.parametrize("name", ["out", "out.parquet", "out.csv", "out.jsonl"])
def test_a_table_without_rows_keeps_its_columns(tmp_path: Path, name: str) -> None:
    empty = TABLE.slice(0, 0)
    path = tmp_path / name
    if name.endswith(".csv"):
        assert write_csv(empty.to_reader(), path).read_text() == '"id","text"\n'
    elif name.endswith(".jsonl"):
        assert write_jsonl(empty.to_reader(), path).read_bytes() == b""
    else:
        assert pq.read_table(parquet(empty, path)).schema == TABLE.schema


@pytest.mark.parametrize("name", ["out", "out.parquet"])
def test_a_type_that_parquet_does_not_know_is_refused_with_what_to_do(
    tmp_path: Path, name: str
) -> None:
    table = pa.table({"x": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    with pytest.raises(SetupError, match="Parquet cannot hold this table"):
        parquet(table, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_a_user_asks_for_is_readable_as_any_file_of_theirs(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a").touch()
    written = [
        parquet(TABLE, tmp_path / "new" / "out.parquet"),
        parquet(TABLE, tmp_path / "new" / "out") / "part-00000.parquet",
        write_csv(TABLE.to_reader(), tmp_path / "new" / "out.csv"),
        write_jsonl(TABLE.to_reader(), tmp_path / "new" / "out.jsonl"),
    ]
    expected = stat.S_IMODE((tmp_path / "theirs" / "a").stat().st_mode)
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {expected}
    folders = {tmp_path / "theirs", tmp_path / "new", tmp_path / "new" / "out"}
    assert len({stat.S_IMODE(folder.stat().st_mode) for folder in folders}) == 1


# What a value is in JSONL and in CSV.
VALUES: dict[str, tuple[pa.Array, Any, str]] = {
    "text": (pa.array(['a"b,\n']), 'a"b,\n', 'a"b,\n'),
    "integer": (pa.array([2**63 - 1]), 2**63 - 1, "9223372036854775807"),
    "unsigned": (pa.array([2**64 - 1], pa.uint64()), 2**64 - 1, "18446744073709551615"),
    "float": (pa.array([0.1]), 0.1, "0.1"),
    "not a number": (pa.array([float("nan")]), None, "nan"),
    "infinity": (pa.array([float("inf")]), None, "inf"),
    "half": (pa.array(np.array([1.5], np.float16)), 1.5, "1.5"),
    "flag": (pa.array([True]), True, "true"),
    "nothing": (pa.nulls(1), None, ""),
    "day": (pa.array([dt.date(2026, 1, 2)]), "2026-01-02", "2026-01-02"),
    "moment": (
        pa.array([AT], pa.timestamp("us", "Europe/Berlin")),
        "2026-11-23T11:00:00+01:00",
        "2026-11-23T11:00:00+01:00",
    ),
    "nanoseconds": (
        pa.array([1], pa.timestamp("ns")),
        "1970-01-01T00:00:00.000000001",
        "1970-01-01T00:00:00.000000001",
    ),
    "time": (pa.array([1], pa.time64("ns")), "00:00:00.000000001", "00:00:00.000000001"),
    "span": (pa.array([1], pa.duration("s")), "0:00:01", "0:00:01"),
    "exact": (pa.array([Decimal("1.50")]), "1.50", "1.50"),
    "bytes": (pa.array([b"\x00\xff"]), "AP8=", "AP8="),
    "list": (pa.array([["x", None]]), ["x", None], '["x",null]'),
    "struct": (pa.array([{"a": 1, "b": None}]), {"a": 1, "b": None}, '{"a":1,"b":null}'),
    "bytes in a struct": (pa.array([{"a": b"\xff"}]), {"a": "/w=="}, '{"a":"/w=="}'),
    "category": (pa.array(["x"]).dictionary_encode(), "x", "x"),
    "vector": (pa.array([[0.1, 0.2]], pa.list_(pa.float32())), [0.1, 0.2], "[0.1,0.2]"),
    "view": (pa.array(["x"], pa.string_view()), "x", "x"),
}


if hasattr(pa, "uuid"):  # younger than the oldest Arrow
    UUID = "00010203-0405-0607-0809-0a0b0c0d0e0f"
    VALUES["id"] = (pa.array([bytes(range(16))], pa.uuid()), UUID, UUID)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_of_any_type_can_be_written_as_text(tmp_path: Path, name: str) -> None:
    values, as_json, as_csv = VALUES[name]
    table = pa.table({"v": values, "row": pa.array([1])})
    assert lines(write_jsonl(table.to_reader(), tmp_path / "out.jsonl")) == [
        {"v": as_json, "row": 1}
    ]
    assert fields(write_csv(table.to_reader(), tmp_path / "out.csv")) == [{"v": as_csv, "row": "1"}]


def test_nulls_of_any_type_are_empty(tmp_path: Path) -> None:
    table = pa.table({name: pa.nulls(1, values.type) for name, (values, *_) in VALUES.items()})
    table = table.append_column("row", pa.array([1]))
    (line,) = lines(write_jsonl(table.to_reader(), tmp_path / "out.jsonl"))
    assert line == {**dict.fromkeys(VALUES), "row": 1}
    (found,) = fields(write_csv(table.to_reader(), tmp_path / "out.csv"))
    assert found == {**dict.fromkeys(VALUES, ""), "row": "1"}


def test_lines_are_one_json_object_each_whatever_the_text(tmp_path: Path) -> None:
    texts = ["a\nb", "\u2028", "\x00", "👩‍👩‍👧", '"', "\\"]
    path = write_jsonl(pa.table({"text": texts}).to_reader(), tmp_path / "out.jsonl")
    assert [line["text"] for line in lines(path)] == texts


def test_csv_is_read_back_as_the_same_table(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": ["007", "8", "9"],
            "text": ["", None, 'q"\n'],
            "n": [1, None, -3],
            "share": [0.5, 1e-300, None],
            "flag": [True, None, False],
            "day": [dt.date(2026, 1, 1), None, dt.date(2026, 1, 3)],
        }
    )
    stream = csv_table(write_csv(table.to_reader(), tmp_path / "out.csv"), ())
    assert pa.Table.from_batches(list(stream.batches), stream.schema).equals(table)


def test_bytes_of_a_column_can_be_had_back(tmp_path: Path) -> None:
    raw = bytes(range(256))
    path = write_csv(pa.table({"raw": [raw], "n": [1]}).to_reader(), tmp_path / "out.csv")
    assert base64.b64decode(fields(path)[0]["raw"]) == raw


TARGETS = [
    ("parquet", "out.parquet"),
    ("parquet", "out"),
    ("csv", "out.csv"),
    ("jsonl", "out.jsonl"),
]


@pytest.mark.parametrize("kind, name", TARGETS)
def test_a_full_disk_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, kind: str, name: str
) -> None:
    if name == "out":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("of before")
    assert exit_code(write_on_a_full_disk, kind, str(tmp_path / name)) == 0
    assert [path.name for path in tmp_path.rglob("*")] == [name]
    assert name == "out" or (tmp_path / name).read_text() == "of before"


@pytest.mark.parametrize("kind, name", TARGETS)
def test_a_folder_that_may_not_be_written_to_stays_as_it_is(kind: str, name: str) -> None:
    folder = open_folder()
    assert exit_code(write_where_it_may_not, kind, str(folder / name)) == 0
    assert list(folder.iterdir()) == []
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind, name", TARGETS)
def test_a_kill_in_the_middle_leaves_what_was_there(tmp_path: Path, kind: str, name: str) -> None:
    if name == "out":
        parquet(TABLE, tmp_path / name)
    else:
        (tmp_path / name).write_text("of before")
    assert exit_code(write_and_die, kind, str(tmp_path / name)) == -signal.SIGKILL
    if name == "out":
        assert pq.read_table(tmp_path / name).equals(TABLE)
    else:
        assert (tmp_path / name).read_text() == "of before"
    assert all(path.name.startswith(".") for path in tmp_path.iterdir() if path.name != name)


def test_memory_holds_a_group_and_not_the_table(tmp_path: Path) -> None:
    before = pa.total_allocated_bytes()
    held = 0

    def watched(source: pa.RecordBatchReader) -> pa.RecordBatchReader:
        def batches() -> Any:
            nonlocal held
            for batch in source:
                held = max(held, pa.total_allocated_bytes() - before)
                yield batch

        return pa.RecordBatchReader.from_batches(source.schema, batches())

    path = write_parquet(watched(rows(900)), tmp_path / "out.parquet", may_replace=False)
    assert path.stat().st_size > 40_000_000
    assert held < 45_000_000
