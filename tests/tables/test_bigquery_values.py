from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit.errors import TableError
from batchkit.tables.bigquery_schema import loadable_schema
from batchkit.tables.bigquery_values import loadable_batch

UUID = getattr(pa, "uuid", pa.null)()


def loaded(column: pa.Array) -> pa.Array:
    batch = pa.RecordBatch.from_arrays([column], ["x"])
    found = loadable_batch(batch, loadable_schema(batch.schema)).column(0)
    found.validate(full=True)
    return found


@pytest.mark.parametrize(
    "column, values",
    [
        (pa.array([2**64 - 1, None], pa.uint64()), [Decimal(2**64 - 1), None]),
        (pa.array([1.5, None], pa.float32()), [1.5, None]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.RunEndEncodedArray.from_arrays([2, 3], pa.array(["a", None])), ["a", "a", None]),
        (pa.array([None, None], pa.null()), [None, None]),
        (pa.array([b"ab", None], pa.binary(2)), [b"ab", None]),
        (pa.array([Decimal("1.20"), None]), [Decimal("1.20"), None]),
        (pa.array([[0.5, 1.5], None, []], pa.list_(pa.float32())), [[0.5, 1.5], [], []]),
        (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), [[1, 2], []]),
        (
            pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int8())),
            [[{"key": "k", "value": 1}], []],
        ),
        (pa.array([{"a": 1}, None, {"a": None}]), [{"a": 1}, None, {"a": None}]),
        (
            pa.array(
                [dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC)], pa.timestamp("ns", tz="Asia/Tokyo")
            ),
            [dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC)],
        ),
        (pa.array(["a"], pa.string_view()), ["a"]),
    ],
)
def test_values_stay_what_they_are(column: pa.Array, values: list[Any]) -> None:
    assert loaded(column).to_pylist() == values


@pytest.mark.skipif(pa.null() == UUID, reason="this pyarrow has no type for UUIDs")
def test_a_uuid_is_its_text() -> None:
    value = uuid.UUID(int=7)
    assert loaded(pa.array([value.bytes, None], UUID)).to_pylist() == [str(value), None]


@pytest.mark.parametrize(
    "column, said",
    [
        (pa.array([1], pa.timestamp("ns")), "would lose data"),
        (pa.array([{"a": 1}], pa.struct([("a", pa.time64("ns"))])), "would lose data"),
        (pa.array([-800_000], pa.date32()), "outside the years 1 to 9999"),
        (pa.array([[1, None]], pa.list_(pa.int8())), "a null inside a list"),
    ],
)
def test_a_value_that_would_lose_something_is_refused_by_column(column: Any, said: str) -> None:
    with pytest.raises(TableError, match=f"column 'x' has a value that BigQuery.*{said}"):
        loaded(column)


@given(st.lists(st.none() | st.lists(st.floats(width=32, allow_nan=False))), st.integers(0, 3))
def test_vectors_stay_on_their_rows(rows: list[list[float] | None], start: int) -> None:
    column = pa.array(rows, pa.list_(pa.float32())).slice(start)
    assert loaded(column).to_pylist() == [row or [] for row in rows[start:]]


@given(st.lists(st.none() | st.fixed_dictionaries({"a": st.none() | st.integers(0, 9)})))
def test_structs_of_any_rows_are_kept(rows: list[dict[str, Any] | None]) -> None:
    column = pa.array(rows, pa.struct([("a", pa.int8())]))
    assert loaded(column.slice(len(rows) // 2)).to_pylist() == rows[len(rows) // 2 :]
