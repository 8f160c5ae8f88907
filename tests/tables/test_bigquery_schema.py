from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from batchkit.errors import TableError
from batchkit.tables.bigquery_schema import arrow_schema, loadable_schema, table_fields


@pytest.mark.parametrize(
    "given, name, mode",
    [
        (pa.null(), "STRING", "NULLABLE"),
        (pa.bool_(), "BOOL", "NULLABLE"),
        (pa.int8(), "INT64", "NULLABLE"),
        (pa.uint32(), "INT64", "NULLABLE"),
        (pa.uint64(), "NUMERIC", "NULLABLE"),
        (pa.float16(), "FLOAT64", "NULLABLE"),
        (pa.float32(), "FLOAT64", "NULLABLE"),
        (pa.decimal128(12, 2), "NUMERIC", "NULLABLE"),
        (pa.decimal128(38, 9), "NUMERIC", "NULLABLE"),
        (pa.decimal128(38, 10), "BIGNUMERIC", "NULLABLE"),
        (pa.decimal128(30, 0), "BIGNUMERIC", "NULLABLE"),
        (pa.decimal256(76, 38), "BIGNUMERIC", "NULLABLE"),
        (pa.large_string(), "STRING", "NULLABLE"),
        (pa.string_view(), "STRING", "NULLABLE"),
        (pa.binary(4), "BYTES", "NULLABLE"),
        (pa.date64(), "DATE", "NULLABLE"),
        (pa.time32("s"), "TIME", "NULLABLE"),
        (pa.timestamp("ns"), "DATETIME", "NULLABLE"),
        (pa.timestamp("s", tz="Europe/Berlin"), "TIMESTAMP", "NULLABLE"),
        (pa.dictionary(pa.int8(), pa.string()), "STRING", "NULLABLE"),
        (pa.list_(pa.float32()), "FLOAT64", "REPEATED"),
        (pa.list_(pa.float32(), 3), "FLOAT64", "REPEATED"),
        (pa.large_list(pa.string()), "STRING", "REPEATED"),
    ],
    ids=str,
)
def test_a_column_takes_the_type_that_holds_its_values(
    given: pa.DataType, name: str, mode: str
) -> None:
    loadable = loadable_schema(pa.schema([("x", given)]))
    assert table_fields(loadable) == [{"name": "x", "type": name, "mode": mode}]


def test_structs_are_kept_and_maps_are_arrays_of_pairs() -> None:
    given = pa.schema(
        [
            ("s", pa.struct([("a", pa.int8()), ("b", pa.list_(pa.struct([("c", pa.date32())])))])),
            ("m", pa.map_(pa.string(), pa.int64())),
        ]
    )
    day = {"name": "c", "type": "DATE", "mode": "NULLABLE"}
    assert table_fields(loadable_schema(given)) == [
        {
            "name": "s",
            "type": "RECORD",
            "mode": "NULLABLE",
            "fields": [
                {"name": "a", "type": "INT64", "mode": "NULLABLE"},
                {"name": "b", "type": "RECORD", "mode": "REPEATED", "fields": [day]},
            ],
        },
        {
            "name": "m",
            "type": "RECORD",
            "mode": "REPEATED",
            "fields": [
                {"name": "key", "type": "STRING", "mode": "NULLABLE"},
                {"name": "value", "type": "INT64", "mode": "NULLABLE"},
            ],
        },
    ]


@pytest.mark.parametrize(
    "kind, said",
    [
        (pa.list_(pa.list_(pa.int8())), "no arrays of arrays"),
        (pa.list_(pa.map_(pa.string(), pa.int8())), "no arrays of arrays"),
        (pa.struct([("y", pa.list_(pa.list_(pa.int8())))]), "no arrays of arrays"),
        (pa.duration("s"), "cast it first"),
        (pa.month_day_nano_interval(), "cast it first"),
        (pa.struct([]), "a struct needs a field"),
        (pa.decimal256(60, 10), "38 digits before the point"),
        (pa.decimal256(76, 40), "38 digits before the point"),
    ],
    ids=str,
)
def test_a_type_that_bigquery_has_not_is_refused_by_column(kind: pa.DataType, said: str) -> None:
    with pytest.raises(TableError, match=rf"column 'x.*{said}") as caught:
        loadable_schema(pa.schema([("ok", pa.int8()), ("x", kind)]))
    assert (caught.value.column or "").startswith("x")


@pytest.mark.parametrize("name", ["", "a b", "1a", "é", "a.b", "x" * 301, "_TABLE_x", "__root__"])
def test_a_name_that_bigquery_refuses_is_said(name: str) -> None:
    with pytest.raises(TableError, match="has a name that BigQuery refuses: rename it"):
        loadable_schema(pa.schema([(name, pa.int8())]))
    with pytest.raises(TableError, match="has a name that BigQuery refuses: rename it"):
        loadable_schema(pa.schema([("s", pa.struct([(name, pa.int8())]))]))


def test_names_that_differ_only_in_case_are_refused() -> None:
    with pytest.raises(TableError, match="'Text' and 'text' differ only in case"):
        loadable_schema(pa.schema([("Text", pa.int8()), ("text", pa.int8())]))


@pytest.mark.parametrize(
    "field, kind",
    [
        ({"type": "INT64"}, pa.int64()),
        ({"type": "BIGNUMERIC"}, pa.decimal256(76, 38)),
        ({"type": "GEOGRAPHY"}, pa.string()),
        ({"type": "BYTES", "mode": "REQUIRED"}, pa.binary()),
        ({"type": "FLOAT", "mode": "REPEATED"}, pa.list_(pa.float64())),
        (
            {"type": "RANGE", "rangeElementType": {"type": "DATE"}},
            pa.struct([("start", pa.date32()), ("end", pa.date32())]),
        ),
        (
            {"type": "RECORD", "mode": "REPEATED", "fields": [{"name": "y", "type": "STRING"}]},
            pa.list_(pa.struct([("y", pa.string())])),
        ),
    ],
    ids=str,
)
def test_a_field_has_one_arrow_type(field: dict[str, Any], kind: pa.DataType) -> None:
    assert arrow_schema([{"name": "x", **field}], "t") == pa.schema([("x", kind)])


def test_an_interval_is_refused_with_what_to_do() -> None:
    with pytest.raises(TableError, match=r"column 'x' of t is INTERVAL.*CAST\(… AS STRING\)"):
        arrow_schema([{"name": "x", "type": "INTERVAL"}], "t")
