from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.errors import TableError
from batchkit.layout import Layout, outcome_schema, result_fields

TEXTS = bk.generate("gemini-3.8-flash", "{text}")
VECTORS = bk.embed("gemini-embedding-001", "{text}", dimensions=8)
SOURCE = pa.schema([("id", pa.int64()), ("text", pa.string())])
AFTER = [
    "status",
    "finish_reason",
    "error_code",
    "error_message",
    "prompt_tokens",
    "output_tokens",
    "thoughts_tokens",
    "cached_tokens",
    "total_tokens",
    "model_version",
    "notes",
]


def by_schema(**properties: str) -> bk.Spec:
    fields = {name: {"type": kind} for name, kind in properties.items()}
    return bk.generate("m", "{text}", schema={"type": "object", "properties": fields})


def names(spec: bk.Spec, source: pa.Schema = SOURCE, **layout: Any) -> list[str]:
    return [field.name for field in result_fields(source, spec, Layout(**layout))]


def test_our_columns_come_in_the_order_the_documentation_gives() -> None:
    assert names(TEXTS) == ["response", *AFTER]
    assert names(VECTORS) == ["embedding", *AFTER]


def test_a_vector_says_its_dimension() -> None:
    field = result_fields(SOURCE, VECTORS, Layout())[0]
    assert field.type == pa.list_(pa.float32())
    assert field.metadata == {b"dimension": b"8"}


def test_answers_by_schema_are_a_column_each_or_one_struct() -> None:
    spec = by_schema(label="string", score="number")
    assert names(spec) == ["response", "label", "score", *AFTER]
    assert names(spec, flatten=False) == ["response", "answer", *AFTER]


def test_an_answer_that_is_a_list_stays_one_column() -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    assert names(bk.generate("m", "{text}", schema=schema)) == ["response", "answer", *AFTER]


def test_provenance_and_the_raw_answer_come_last() -> None:
    assert names(TEXTS, provenance=True, raw=True) == [
        "response",
        *AFTER,
        *("job", "shard", "attempt", "request_hash", "answered_by"),
        "raw",
    ]


def test_a_prefix_goes_before_each_of_our_names() -> None:
    source = pa.schema([("status", pa.string()), ("response", pa.string())])
    assert names(TEXTS, source, prefix="g_") == ["g_response", *(f"g_{name}" for name in AFTER)]


@pytest.mark.parametrize("column", ["response", *AFTER])
def test_a_column_that_the_result_needs_is_refused_with_the_remedy(column: str) -> None:
    said = (
        f"the table has a column '{column}', which the result needs: rename it, or give the "
        r"result's columns a prefix \(prefix='gemini_'\)"
    )
    with pytest.raises(TableError, match=said) as caught:
        names(TEXTS, pa.schema([(column, pa.string())]))
    assert caught.value.column == column


@pytest.mark.parametrize(
    "column, layout",
    [("job", {"provenance": True}), ("raw", {"raw": True}), ("g_status", {"prefix": "g_"})],
    ids=["provenance", "raw", "prefix"],
)
def test_only_columns_that_the_result_has_are_refused(column: str, layout: dict[str, Any]) -> None:
    source = pa.schema([(column, pa.string())])
    assert column not in names(TEXTS, source)
    with pytest.raises(TableError, match=f"has a column '{column}'"):
        names(TEXTS, source, **layout)


def test_a_column_named_as_a_field_of_the_answer_is_refused() -> None:
    source = pa.schema([("label", pa.string())])
    with pytest.raises(TableError, match="has a column 'label'"):
        names(by_schema(label="string"), source)
    assert "answer" in names(by_schema(label="string"), source, flatten=False)


@pytest.mark.parametrize("field", ["status", "notes", "response"])
def test_a_field_of_the_answer_named_as_one_of_ours_is_refused(field: str) -> None:
    with pytest.raises(TableError, match=f"schema has a field '{field}'.*flatten=False"):
        names(by_schema(**{field: "string"}))


def test_a_column_named_row_is_the_source_s_own() -> None:
    assert "row" not in names(TEXTS, pa.schema([("row", pa.int64())]))


def test_an_outcomes_file_has_the_row_and_the_answer_in_full() -> None:
    schema = outcome_schema(by_schema(label="string"), Layout(prefix="g_", raw=True))
    assert schema.names == ["row", "response", "answer", *AFTER, "raw"]
    assert schema.field("answer").type == pa.struct([("label", pa.string())])


@pytest.mark.parametrize(
    "layout", [Layout(), Layout("g_", flatten=False, provenance=True, raw=True)], ids=str
)
def test_a_layout_survives_json(layout: Layout) -> None:
    assert Layout.from_json(jsonl.loads(jsonl.dumps(layout.to_json()))) == layout
