from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import batchkit as bk
from batchkit.canonical import request_hash
from batchkit.fields import field_table
from batchkit.key import BAD_KEYS
from batchkit.lines import REJECTED_ROWS, EncodedBatch, LineEncoder, rows_schema
from batchkit.wire import dialect_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DIALECT = dialect_for("gemini", "generate")
SPEC = bk.generate("gemini-3.8-flash", "{text}")


def encoder(schema: pa.Schema, key: Sequence[str] = (), **options: Any) -> LineEncoder:
    given = {"carried": (), "max_bytes": 10_000, **options}
    return LineEncoder(SPEC.bind(schema, DIALECT), DIALECT, key, schema=schema, **given)


def encoded(
    columns: Mapping[str, Any],
    key: Sequence[str] = (),
    *,
    first_row: int = 0,
    bad_keys: Sequence[tuple[int, str]] = (),
    **options: Any,
) -> EncodedBatch:
    batch = pa.record_batch(columns)
    bad = [{"row": row, "key": None, "reason": reason} for row, reason in bad_keys]
    made = encoder(batch.schema, key, **options)
    return made.encode(batch, first_row, pa.Table.from_pylist(bad, schema=BAD_KEYS))


def rejections(batch: EncodedBatch) -> list[tuple[int, str | None, str, str]]:
    assert batch.rejected.schema == REJECTED_ROWS
    return [tuple(row.values()) for row in batch.rejected.to_pylist()]


def test_a_line_is_one_json_object_of_key_and_request() -> None:
    lines = encoded({"id": ['k"\u2028'], "text": ["hi\n"]}, ["id"]).lines
    assert lines.to_pylist() == [
        '{"key":"k\\"\u2028","request":{"contents":[{"role":"user","parts":[{"text":"hi\\n"}]}]}}\n'
    ]


def test_rows_are_named_by_their_number_in_the_table() -> None:
    batch = encoded({"text": ["a", "b"]}, first_row=41)
    assert [json.loads(line)["key"] for line in batch.lines.to_pylist()] == ["41", "42"]
    assert batch.rows.column("row").to_pylist() == [41, 42]
    assert batch.rows.column("wire_key").to_pylist() == ["41", "42"]
    assert batch.rows.column("request_of").to_pylist() == [41, 42]


def test_a_row_without_a_request_has_no_line_and_says_why() -> None:
    batch = encoded({"id": [1, 2], "text": [None, "b"]}, ["id"], first_row=10)
    assert batch.lines.is_null().to_pylist() == [True, False]
    assert batch.rows.column("request_of").to_pylist() == [None, 11]
    assert rejections(batch) == [
        (
            10,
            "1",
            "$.request.contents[0].parts[0].text",
            "column 'text' is null: give a default, {text??…}",
        )
    ]


def test_a_bad_key_rejects_its_row_and_no_other_and_is_shown() -> None:
    batch = encoded(
        {"id": ["a", "b", "a", None], "text": ["w", "x", "y", "z"]},
        ["id"],
        first_row=100,
        bad_keys=[(99, "of another batch"), (102, "repeats"), (103, "null"), (104, "the next")],
    )
    assert batch.lines.is_null().to_pylist() == [False, False, True, True]
    assert batch.rows.column("wire_key").to_pylist() == ["a", "b", None, None]
    assert rejections(batch) == [
        (102, "a", "$.key", "repeats"),
        (103, None, "$.key", "null"),
    ]


def test_a_row_that_is_wrong_in_two_ways_is_rejected_once_for_its_key() -> None:
    batch = encoded({"id": ["a"], "text": [None]}, ["id"], bad_keys=[(0, "repeats")])
    assert rejections(batch) == [(0, "a", "$.key", "repeats")]


def test_a_line_that_is_too_long_is_rejected_with_its_length() -> None:
    batch = encoded({"id": ["a", "b"], "text": ["x" * 100, "short"]}, ["id"], max_bytes=150)
    length = len(batch.lines.to_pylist()[1] or "") + 95
    assert batch.lines.is_null().to_pylist() == [True, False]
    assert rejections(batch) == [
        (0, "a", "$", f"{length} bytes, and a request may have 150"),
    ]


def test_a_line_that_is_as_long_as_allowed_is_sent() -> None:
    line = encoded({"text": ["x" * 50]}).lines.to_pylist()[0] or ""
    fits = encoded({"text": ["x" * 50]}, max_bytes=len(line))
    assert fits.lines.null_count == 0
    assert encoded({"text": ["x" * 50]}, max_bytes=len(line) - 1).lines.null_count == 1


def test_only_the_columns_that_are_needed_are_read() -> None:
    schema = pa.schema([(name, pa.string()) for name in ("a", "id", "text", "z")])
    assert encoder(schema, ["id"], carried=["z"]).columns == ["text", "id", "z"]
    assert encoder(schema).columns == ["text"]


def test_one_column_is_read_at_least_so_that_rows_are_counted() -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.string())])
    bound = bk.generate("gemini-3.8-flash", "a haiku").bind(schema, DIALECT)
    made = LineEncoder(bound, DIALECT, (), (), schema, 1_000)
    assert made.columns == ["a"]
    batch = pa.record_batch({"a": ["x", None]})
    lines = made.encode(batch, 0, pa.Table.from_batches([], BAD_KEYS)).lines
    assert lines.null_count == 0


def test_carried_columns_travel_as_they_are() -> None:
    prices = pa.array([1, None], pa.decimal128(5, 2))
    columns = {"text": ["a", "b"], "price": prices, "left": ["x", "y"]}
    rows = encoded(columns, carried=["price"]).rows
    assert rows.schema == rows_schema(pa.schema([("price", prices.type)]), ["price"])
    assert rows.column("source").field("price").equals(prices)


def test_the_request_hash_is_there_when_it_is_asked_for() -> None:
    batch = encoded({"text": ["a", None]}, hashed=True)
    body = json.loads(batch.lines.to_pylist()[0] or "")["request"]
    expected = request_hash(body, field_table("gemini"), "GenerateContentRequest")
    assert batch.rows.column("request_hash").to_pylist() == [expected, None]
    assert encoded({"text": ["a"]}).rows.column("request_hash").null_count == 1


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_rows_and_lines_are_as_many_as_the_batch_has(rows: int) -> None:
    batch = encoded({"text": pa.array(["x"] * rows, pa.string())})
    assert len(batch.lines) == batch.rows.num_rows == rows


def test_a_slice_of_a_batch_gives_the_lines_of_its_rows() -> None:
    columns = pa.record_batch({"id": [1, 2, 3], "text": ["a", None, 'c"']})
    made = encoder(columns.schema, ["id"])
    none = pa.Table.from_batches([], BAD_KEYS)
    whole = made.encode(columns, 0, none)
    part = made.encode(columns.slice(1), 1, none)
    assert part.lines.to_pylist() == whole.lines.to_pylist()[1:]
    assert part.rows.to_pylist() == whole.rows.to_pylist()[1:]
    assert part.rejected.to_pylist() == whole.rejected.to_pylist()
