from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit import jsonl
from batchkit.tables.digest import Digester, TableDigest
from batchkit.tables.opened import open_table
from batchkit.tables.pinned import PinnedTable

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS: dict[str, Callable[[], pa.Array]] = {
    "integers": lambda: pa.array([1, None, 3, -4]),
    "floats": lambda: pa.array([1.5, None, -0.0, float("inf")]),
    "halves": lambda: pa.array(np.array([1.5, 2.5, 3.5, 4.5], np.float16)),
    "texts": lambda: pa.array(["a", None, "", "ü\x00"]),
    "large": lambda: pa.array(["a", None, "", "ü"], pa.large_string()),
    "bytes": lambda: pa.array([b"\xff", None, b"", b"a"]),
    "fixed": lambda: pa.array([b"ab", None, b"cd", b"ef"], pa.binary(2)),
    "flags": lambda: pa.array([True, None, False, True]),
    "nulls": lambda: pa.nulls(4),
    "days": lambda: pa.array([dt.date(2026, 1, 1), None, None, dt.date(2026, 1, 2)]),
    "moments": lambda: pa.array([1, None, 3, 4], pa.timestamp("ns", "Europe/Berlin")),
    "spans": lambda: pa.array([1, None, 3, 4], pa.duration("us")),
    "exact": lambda: pa.array([Decimal("1.10"), None, None, Decimal(2)], pa.decimal128(20, 2)),
    "lists": lambda: pa.array([["a", None], None, [], ["b"]]),
    "wide lists": lambda: pa.array([[1], None, [], [2, 3]], pa.large_list(pa.int8())),
    "pairs": lambda: pa.array([[1, 2], None, [3, None], [4, 5]], pa.list_(pa.int64(), 2)),
    "nested": lambda: pa.array([{"a": [{"b": "x"}]}, None, {"a": None}, {"a": []}]),
    "maps": lambda: pa.array([[("k", 1)], None, [], []], pa.map_(pa.string(), pa.int64())),
    "categories": lambda: pa.array(["x", None, "y", "x"]).dictionary_encode(),
    "runs": lambda: pa.RunEndEncodedArray.from_arrays(pa.array([2, 4]), pa.array(["a", None])),
    "views": lambda: pa.array(["a", None, "x" * 40, "b"], pa.string_view()),
    "intervals": lambda: pa.array([(1, 2, 3), None, None, (1, 2, 4)], pa.month_day_nano_interval()),
}


def digest(*batches: pa.RecordBatch) -> TableDigest:
    digester = Digester(batches[0].schema)
    for batch in batches:
        digester.add(batch)
    return digester.digest()


def batch(values: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([values], ["c"])


@pytest.mark.parametrize("name", COLUMNS)
def test_it_does_not_matter_where_one_batch_ends(name: str) -> None:
    whole = batch(COLUMNS[name]())
    cut = [whole.slice(0, 1), whole.slice(1, 2), whole.slice(3, 0), whole.slice(3)]
    assert digest(*cut) == digest(whole)


@pytest.mark.parametrize("name", COLUMNS)
def test_rows_in_another_order_or_number_are_told(name: str) -> None:
    values = COLUMNS[name]()
    whole = digest(batch(values))
    assert digest(batch(values.slice(0, 3))) != whole
    if name != "nulls":
        turned = [batch(values.slice(2)), batch(values.slice(0, 2))]
        assert digest(*turned).columns != whole.columns


@pytest.mark.parametrize(
    "one, other",
    [
        (["ab", "c"], ["a", "bc"]),
        ([None, "a"], ["", "a"]),
        ([["a"], []], [[], ["a"]]),
        ([[["a", "b"]]], [[["a"], ["b"]]]),
        ([{"a": "x", "b": "y"}], [{"a": "y", "b": "x"}]),
        ([{"a": None}], [None]),
    ],
)
def test_values_that_hold_the_same_bytes_are_not_the_same(one: list[Any], other: list[Any]) -> None:
    kind = pa.array(one + other).type
    assert digest(batch(pa.array(one, kind))) != digest(batch(pa.array(other, kind)))


@given(st.lists(st.none() | st.text(), max_size=20), st.integers(0, 20))
def test_texts_are_told_from_all_others_wherever_they_are_cut(
    texts: list[str | None], cut: int
) -> None:
    values = batch(pa.array(texts, pa.string()))
    assert digest(values.slice(0, cut), values.slice(cut)) == digest(values)
    longer = batch(pa.array([*texts, "x"], pa.string()))
    assert digest(longer).columns != digest(values).columns


def test_what_lies_below_a_null_does_not_matter() -> None:
    def numbers(below: int) -> pa.Array:
        data = pa.py_buffer(np.array([1, below, 3], np.int64).tobytes())
        return pa.Array.from_buffers(pa.int64(), 3, [pa.py_buffer(b"\x05"), data])

    assert digest(batch(numbers(7))) == digest(batch(numbers(99)))
    one, other = (
        pa.StructArray.from_arrays(
            [numbers(2).fill_null(n)], names=["a"], mask=pa.array([False, True, False])
        )
        for n in (5, 6)
    )
    assert digest(batch(one)) == digest(batch(other))


def test_another_order_of_categories_is_the_same_table() -> None:
    one = pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["x", "y"]))
    other = pa.DictionaryArray.from_arrays(pa.array([2, 1, None]), pa.array(["z", "y", "x"]))
    assert digest(batch(one)) == digest(batch(other))


def test_the_column_that_changed_is_known() -> None:
    one = pd.DataFrame({"id": [1, 2], "text": ["a", "b"]})
    other = one.assign(text=["a", "B"])
    first, second = (
        digest(pa.RecordBatch.from_pandas(frame, preserve_index=False)) for frame in (one, other)
    )
    assert first.columns["id"] == second.columns["id"]
    assert first.columns["text"] != second.columns["text"]


def test_it_is_the_same_after_a_trip_through_json() -> None:
    found = digest(batch(pa.array([1, 2])))
    assert TableDigest.from_json(jsonl.loads(jsonl.dumps(found.to_json()))) == found


def opened_digest(table: Any) -> TableDigest:
    stream = open_table(table)
    assert not isinstance(stream, PinnedTable)
    return digest(*stream.batches)


def test_the_same_query_of_duckdb_is_the_same_table() -> None:
    query = """
        select i, case when i % 3 = 0 then i * 7 end as sparse,
               case when i % 5 = 0 then 'x' || i end as words,
               case when i % 2 = 0 then [i, null, i] end as lists
        from range(100000) t(i)
    """
    assert opened_digest(duckdb.sql(query)) == opened_digest(duckdb.sql(query))


def test_a_polars_frame_is_the_same_in_one_chunk_and_in_several() -> None:
    parts = [pl.DataFrame({"text": ["a", None], "lists": [["x"], None]})] * 3
    assert opened_digest(pl.concat(parts, rechunk=False)) == opened_digest(
        pl.concat(parts, rechunk=True)
    )
