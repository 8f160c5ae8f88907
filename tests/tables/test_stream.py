from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import batchkit as bk
from batchkit.errors import RunChangedError
from batchkit.tables.opened import open_table
from batchkit.tables.stream import TableStream, digest_stream, pin_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.tables.pinned import PinnedTable
    from tests.conftest import Service

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")


def stream(table: Any) -> TableStream:
    opened = open_table(table)
    assert isinstance(opened, TableStream)
    return opened


def back(pinned: PinnedTable, folder: Path) -> pa.Table:
    return pa.Table.from_batches(pinned.batches(folder, pinned.schema), pinned.schema)


def test_a_pinned_table_is_exact_in_values_types_and_metadata(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["a", None], pa.string_view()),
            "lists": pa.array([["x"], None], pa.large_list(pa.string())),
            "category": pa.array(["x", "y"]).dictionary_encode(),
            "small": pa.array([1, None], pa.int8()),
        }
    ).replace_schema_metadata({b"about": b"it"})
    pinned = pin_stream(stream(table), tmp_path)
    found = back(pinned, tmp_path)
    assert found.schema.equals(table.schema, check_metadata=True)
    assert found.to_pylist() == table.to_pylist()
    assert [path.name for path in tmp_path.iterdir()] == ["table.arrow"]


def test_the_digest_is_the_same_without_writing(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a", "b"]})
    assert pin_stream(stream(frame), tmp_path).digest == digest_stream(stream(frame))


def test_many_small_batches_become_groups_of_a_fair_size(tmp_path: Path) -> None:
    table = pa.Table.from_batches(pa.table({"n": range(200_000)}).to_batches(100))
    pinned = pin_stream(stream(table), tmp_path)
    assert len(pinned.files[0].group_rows) <= 5
    assert back(pinned, tmp_path).column("n").equals(table.column("n"))


def test_a_large_batch_is_cut_by_its_bytes(tmp_path: Path) -> None:
    table = pa.table({"text": ["x" * 1_000_000] * 100})
    pinned = pin_stream(stream(table), tmp_path)
    assert len(pinned.files[0].group_rows) >= 5
    assert pinned.rows == 100


def test_a_table_without_rows_is_a_table(tmp_path: Path) -> None:
    pinned = pin_stream(stream(pa.table({"n": pa.array([], pa.int64())})), tmp_path)
    assert pinned.rows == 0
    assert back(pinned, tmp_path).schema == pa.schema([("n", pa.int64())])


def test_categories_that_differ_from_batch_to_batch_come_back_in_order(tmp_path: Path) -> None:
    one, two = (
        pa.record_batch({"c": pa.array(values).dictionary_encode()})
        for values in (["a", "b", None], ["z", "a"])
    )
    pinned = pin_stream(stream(pa.Table.from_batches([one, two, one])), tmp_path)
    expected = ["a", "b", None, "z", "a", "a", "b", None]
    assert back(pinned, tmp_path).column("c").to_pylist() == expected


def breaking() -> Iterator[pa.RecordBatch]:
    yield pa.record_batch({"n": [1]})
    message = "the query was cancelled"
    raise OSError(message)


def test_a_stream_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    broken = TableStream("a query", pa.schema([("n", pa.int64())]), breaking())
    with pytest.raises(OSError, match="the query was cancelled"):
        pin_stream(broken, tmp_path)
    assert list(tmp_path.iterdir()) == []


def one_shot() -> pa.RecordBatchReader:
    batches = [pa.record_batch({"id": [i], "text": [f"text {i}"]}) for i in range(5)]
    return pa.RecordBatchReader.from_batches(batches[0].schema, batches)


def test_a_stream_that_can_be_read_once_is_read_once(tmp_path: Path, service: Service) -> None:
    source = one_shot()
    results = bk.run(source, SPEC, key="id", into=tmp_path / "run", client=service.client)
    assert results.to_arrow().column("text").to_pylist() == [f"text {i}" for i in range(5)]
    with pytest.raises(StopIteration):
        source.read_next_batch()


def test_the_same_rows_from_anywhere_are_the_same_run(tmp_path: Path, service: Service) -> None:
    bk.run(one_shot(), SPEC, key="id", into=tmp_path / "run", client=service.client)
    bk.run(one_shot(), SPEC, key="id", into=tmp_path / "run", client=service.client)
    bk.run(one_shot().read_all(), SPEC, key="id", into=tmp_path / "run", client=service.client)
    assert set(service.paid().values()) == {1}


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda frame: frame.assign(text=["a", "B"]), ["values of text"]),
        (lambda frame: frame.iloc[:1], ["rows: the run has 2, now 1"]),
        (lambda frame: frame.iloc[::-1], ["values of id", "values of text"]),
        (lambda frame: frame.assign(new=[1, 2]), ["values of new", "columns: the run has"]),
        (lambda frame: frame.astype({"id": "int32"}), ["columns: the run has", "id int32"]),
    ],
    ids=["value", "rows", "order", "column", "type"],
)
def test_a_changed_table_is_refused_with_what_changed(
    tmp_path: Path, change: Any, said: list[str]
) -> None:
    frame = pd.DataFrame({"id": [1, 2], "text": ["a", "b"]})
    bk.build(frame, SPEC, key="id", into=tmp_path / "run")
    with pytest.raises(RunChangedError) as caught:
        bk.build(change(frame), SPEC, key="id", into=tmp_path / "run")
    for part in said:
        assert part in str(caught.value)
    if said == ["values of text"]:
        assert list(caught.value.changes) == ["values of text"]


@pytest.mark.parametrize(
    "index",
    [
        pd.Index(["x", "y", "z"], name="id"),
        pd.Index([3, 1, 2], name="id"),
        pd.Index(pd.to_datetime(["2026-01-01", "2026-01-02", None]), name="at"),
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["shop", "number"]),
        pd.MultiIndex.from_product([["a"], [1.5, 2.5, 3.5]], names=["shop", None]),
        pd.RangeIndex(3),
        pd.RangeIndex(10, 16, 2, name="position"),
        pd.Index([7, 8, 9]),
        pd.CategoricalIndex(["b", "a", "b"], name="kind"),
    ],
    ids=[
        "texts",
        "numbers",
        "moments",
        "levels",
        "level without a name",
        "default",
        "steps",
        "no name",
        "categories",
    ],
)
def test_any_index_comes_back_as_it_was(tmp_path: Path, service: Service, index: pd.Index) -> None:
    frame = pd.DataFrame({"text": ["a", "b", "c"]}, index=index)
    results = bk.run(frame, SPEC, into=tmp_path / "run", client=service.client)
    found = results.to_pandas()
    pd.testing.assert_frame_equal(found[["text"]], frame)
    assert found["response"].tolist() == ["Echo: Say a", "Echo: Say b", "Echo: Say c"]


def test_every_dtype_of_pandas_comes_back_as_it_was(tmp_path: Path, service: Service) -> None:
    frame = pd.DataFrame(
        {
            "text": pd.array(["a", "b"], dtype="string"),
            "object": pd.Series(["a", None], dtype=object),
            "nullable": pd.array([1, None], dtype="Int16"),
            "flag": pd.array([True, None], dtype="boolean"),
            "half": np.array([0.5, 1.5], np.float32),
            "unsigned": np.array([1, 2**64 - 1], np.uint64),
            "span": pd.to_timedelta([1, 2], unit="s"),
            "month": pd.period_range("2026-01", periods=2, freq="M"),
            "day": pd.array([1, None], dtype=pd.ArrowDtype(pa.date32())),
            "nested": pd.array([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
            "category": pd.Categorical([2, 1], categories=[3, 2, 1]),
        }
    )
    results = bk.run(frame, SPEC, into=tmp_path / "run", client=service.client)
    pd.testing.assert_frame_equal(results.to_pandas()[list(frame.columns)], frame)


def test_a_polars_frame_comes_back_with_its_types(tmp_path: Path, service: Service) -> None:
    frame = pl.DataFrame(
        {
            "text": ["a", None, "c"],
            "kind": pl.Series(["x", "y", None], dtype=pl.Enum(["y", "x"])),
            "tags": [["x"], None, []],
            "where": [{"city": "Köln"}, None, {"city": None}],
            "small": pl.Series([1, None, 3], dtype=pl.Int8),
            "span": pl.Series([1, None, 3], dtype=pl.Duration("ms")),
        }
    )
    spec = bk.generate("gemini-3.8-flash", "Say {small??0}")
    results = bk.run(frame, spec, into=tmp_path / "run", client=service.client)
    found = results.to_polars().select(frame.columns)
    expected: Any = pl.from_arrow(frame.to_arrow())  # older ones do not get their Enum back
    assert found.equals(expected, null_equal=True)
    assert found.schema == expected.schema


READING = """
import json, sys
from pathlib import Path
import pyarrow.compute as pc
from batchkit.tables.pinned import PinnedTable

def most_held():
    (line,) = (x for x in open("/proc/self/status") if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

pinned, folder = PinnedTable.from_json(json.load(sys.stdin)), Path(sys.argv[1])
before = most_held()
sums = [pc.sum(batch.column("n")).as_py() for batch in pinned.batches(folder, pinned.schema)]
print(sum(sums), most_held() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells")
def test_a_pinned_table_that_is_read_is_not_kept_in_memory(tmp_path: Path) -> None:
    rows = 16_000_000
    pinned = pin_stream(stream(pa.table({"n": np.arange(rows)})), tmp_path)
    said = subprocess.run(  # noqa: S603  # ourselves
        [sys.executable, "-c", READING, tmp_path],
        input=json.dumps(pinned.to_json()),
        capture_output=True,
        text=True,
        check=True,
    )
    total, grown = map(int, said.stdout.split())
    assert total == rows * (rows - 1) // 2
    assert grown < pinned.files[0].bytes / 4
