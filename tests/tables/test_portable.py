from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchkit.tables.portable import is_portable, portable, portable_reader

LONG = "a text of more than twelve bytes"
VIEWS = pa.array([LONG, None], pa.string_view())


@pytest.mark.parametrize(
    "column, kind",
    [
        (VIEWS, pa.large_string()),
        (pa.array([LONG.encode(), None], pa.binary_view()), pa.large_binary()),
        (
            pa.DictionaryArray.from_arrays(pa.array([0, None], pa.int8()), VIEWS),
            pa.dictionary(pa.int8(), pa.large_string()),
        ),
        (
            pa.DictionaryArray.from_arrays(pa.array([0, None], pa.uint8()), VIEWS, ordered=True),
            pa.dictionary(pa.uint8(), pa.large_string(), ordered=True),
        ),
        (pa.array([[LONG], None], pa.list_(pa.string_view())), pa.list_(pa.large_string())),
        (
            pa.array([[LONG], None], pa.large_list(pa.string_view())),
            pa.large_list(pa.large_string()),
        ),
        (
            pa.array([{"a": LONG}, None], pa.struct([("a", pa.string_view())])),
            pa.struct([("a", pa.large_string())]),
        ),
        (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), pa.list_(pa.int8())),
    ],
    ids=str,
)
def test_values_stay_and_their_type_becomes_one_that_all_know(
    column: pa.Array, kind: pa.DataType
) -> None:
    assert not is_portable(column.type)
    assert is_portable(kind)
    plain = portable(column)
    assert plain.type == kind
    assert plain.to_pylist() == column.to_pylist()
    chunked = portable(pa.chunked_array([column, column.slice(1)]))
    assert chunked.type == kind
    assert chunked.to_pylist() == [*column.to_pylist(), None]


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.list_(pa.string()), pa.dictionary(pa.int8(), pa.string()), pa.int64()],
    ids=str,
)
def test_what_all_know_stays_as_it_is(kind: pa.DataType) -> None:
    assert is_portable(kind)


def rows(**columns: pa.Array) -> pa.RecordBatchReader:
    table = pa.table(columns).replace_schema_metadata({b"mine": b"kept"})
    return table.to_reader()


def test_rows_that_are_portable_are_read_as_they_come() -> None:
    reader = rows(a=pa.array([1]))
    assert portable_reader(reader) is reader


def test_rows_keep_their_names_order_and_metadata(tmp_path: Any) -> None:
    fixed = pa.array([[1, None], None], pa.list_(pa.int64(), 2))
    table = portable_reader(rows(n=pa.array([1, 2]), view=VIEWS, fixed=fixed)).read_all()
    assert table.to_pydict() == {"n": [1, 2], "view": [LONG, None], "fixed": [[1, None], None]}
    assert table.schema.metadata == {b"mine": b"kept"}
    pq.write_table(table, tmp_path / "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet").equals(table)
