from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit.errors import CapabilityError, TableError
from batchkit.tables.opened import open_table
from batchkit.tables.pinned import PinnedTable
from batchkit.tables.stream import TableStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Service

ROWS = [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]


def read(table: Any) -> list[dict[str, Any]]:
    stream = open_table(table)
    assert isinstance(stream, TableStream)
    return pa.Table.from_batches(list(stream.batches), stream.schema).to_pylist()


@pytest.mark.parametrize(
    "table",
    [
        ROWS,
        pd.DataFrame(ROWS),
        pl.DataFrame(ROWS),
        pa.Table.from_pylist(ROWS),
        pa.RecordBatch.from_pylist(ROWS),
        pa.Table.from_pylist(ROWS).to_reader(),
        duckdb.sql("select * from (values (1, 'a'), (2, 'b')) t(id, text)"),
    ],
    ids=["rows", "pandas", "polars", "table", "batch", "reader", "duckdb"],
)
def test_whatever_streams_arrow_is_a_table(table: Any) -> None:
    assert read(table) == ROWS


@pytest.mark.parametrize(
    "name, write",
    [
        ("rows.csv", lambda frame, path: frame.to_csv(path, index=False)),
        ("rows.tsv", lambda frame, path: frame.to_csv(path, index=False, sep="\t")),
        ("rows.csv.gz", lambda frame, path: frame.to_csv(path, index=False)),
        ("rows.jsonl", lambda frame, path: frame.to_json(path, orient="records", lines=True)),
        ("rows.ndjson.gz", lambda frame, path: frame.to_json(path, orient="records", lines=True)),
    ],
)
def test_a_file_is_known_by_how_its_name_ends(
    tmp_path: Path, name: str, write: Callable[[pd.DataFrame, Path], None]
) -> None:
    write(pd.DataFrame(ROWS), tmp_path / name)
    assert read(tmp_path / name) == ROWS
    assert read(str(tmp_path / name)) == ROWS


def test_all_other_names_are_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows")
    table = open_table(tmp_path / "rows")
    assert isinstance(table, PinnedTable)
    assert table.rows == 2


@pytest.mark.parametrize("name", ["no.csv", "no.jsonl", "no.parquet", "no"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match=f"{name}: no such file"):
        open_table(tmp_path / name)


@pytest.mark.parametrize("address", ["gs://bucket/rows.parquet", "bq://p.d.t", "s3://b/k"])
def test_what_is_not_on_this_machine_is_refused_with_what_to_do(address: str) -> None:
    with pytest.raises(CapabilityError, match="and local files; copy it, or pass it as Arrow"):
        open_table(address)


@pytest.mark.parametrize("thing", [None, 7, {"a": [1]}, [1, 2], [[1]], (row for row in ROWS)])
def test_what_is_no_table_is_refused_with_what_may_be_given(thing: Any) -> None:
    with pytest.raises(TableError, match="is no table: give a DataFrame"):
        open_table(thing)


class AColumn:
    """What streams Arrow, but no rows."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return pa.chunked_array([[1, 2]]).__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize("column", [pl.Series([1, 2]), AColumn()], ids=["polars", "arrow"])
def test_a_column_alone_is_no_table(column: Any) -> None:
    with pytest.raises(TableError, match="cannot become Arrow"):
        open_table(column)


@pytest.mark.parametrize(
    "values", [[1, "x"], [object(), object()], [1j, 2j]], ids=["mixed", "objects", "complex"]
)
def test_a_column_of_pandas_that_arrow_has_no_type_for_is_named(values: list[Any]) -> None:
    frame = pd.DataFrame({"fine": [1, 2], "odd": pd.Series(values)})
    with pytest.raises(TableError, match="column 'odd' of the pandas DataFrame") as caught:
        open_table(frame)
    assert caught.value.column == "odd"


def test_an_index_named_like_a_column_comes_back_beside_it(
    tmp_path: Path, service: Service
) -> None:
    frame = pd.DataFrame({"id": [1], "text": ["a"]}, index=pd.Index([2], name="id"))
    spec = bk.generate("gemini-3.8-flash", "{text}")
    results = bk.run(frame, spec, key="id", into=tmp_path / "run", client=service.client)
    pd.testing.assert_frame_equal(results.to_pandas()[["id", "text"]], frame)
    assert service.paid() == {"1": 1}


def test_a_type_that_cannot_be_kept_is_refused_or_comes_back(
    tmp_path: Path, service: Service
) -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "bin": pd.cut([1, 5], [0, 2, 6])})
    spec = bk.generate("gemini-3.8-flash", "{text}")
    said = ""
    try:
        results = bk.run(frame, spec, into=tmp_path / "run", client=service.client)
        back = results.to_pandas()[["text", "bin"]]
    except TableError as error:  # with versions of pandas and Arrow that do not get on
        said, back = str(error), frame
    pd.testing.assert_frame_equal(back, frame)
    assert (said == "") == (tmp_path / "run").exists()
    assert said == "" or "column 'bin' of the pandas DataFrame is of a type that can" in said


def test_a_table_in_memory_says_what_it_is() -> None:
    assert open_table(pd.DataFrame(ROWS)).description == "pandas DataFrame"
    assert open_table(pl.DataFrame(ROWS)).description == "polars DataFrame"
    assert open_table(ROWS).description == "2 rows"
