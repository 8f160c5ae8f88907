from __future__ import annotations

import datetime as dt
import gzip
import io
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud.bigquery import LoadJobConfig, ParquetOptions, SchemaField, TimePartitioning

if TYPE_CHECKING:
    from tests.warehouse import Warehouse

X = SchemaField("x", "INTEGER")
Y = SchemaField("y", "STRING")


def load_parquet(bigquery: Warehouse, table: pa.Table, *, lists: bool = True, **config: Any) -> Any:
    options = ParquetOptions()
    options.enable_list_inference = lists
    file = io.BytesIO()
    pq.write_table(table, file)
    size = file.tell()
    file.seek(0)
    return bigquery.client.load_table_from_file(
        file,
        bigquery.table(),
        size=size,
        job_config=LoadJobConfig(source_format="PARQUET", parquet_options=options, **config),
    ).result()


def test_parquet_brings_its_schema(bigquery: Warehouse) -> None:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC)
    row = {
        "i": -(2**63),
        "f": 0.1,
        "b": True,
        "s": "a\u2028é\x00",
        "y": b"\x00\xff",
        "d": moment.date(),
        "t": moment,
        "n": Decimal("1.500000000"),
        "v": [0.5, -1.0],
        "r": {"end": 1, "order": ["a"]},
        "l": [{"k": "a"}, {"k": None}],
    }
    load_parquet(bigquery, pa.Table.from_pylist([row]))
    assert bigquery.rows() == [row]
    schema = bigquery.client.get_table(bigquery.table()).schema
    assert [(field.field_type, field.mode) for field in schema] == [
        *((kind, "NULLABLE") for kind in ("INTEGER", "FLOAT", "BOOLEAN", "STRING", "BYTES")),
        *((kind, "NULLABLE") for kind in ("DATE", "TIMESTAMP", "NUMERIC")),
        ("FLOAT", "REPEATED"),
        ("RECORD", "NULLABLE"),
        ("RECORD", "REPEATED"),
    ]
    assert [(f.name, f.field_type, f.mode) for f in schema[9].fields] == [
        ("end", "INTEGER", "NULLABLE"),
        ("order", "STRING", "REPEATED"),
    ]


def test_parquet_columns_go_by_their_names(bigquery: Warehouse) -> None:
    bigquery.ask(f"CREATE TABLE {bigquery.sql()} (a STRING, b STRING, c STRING)")
    load_parquet(bigquery, pa.table({"C": ["c"], "a": ["a"]}), write_disposition="WRITE_APPEND")
    assert bigquery.rows() == [{"a": "a", "b": None, "c": "c"}]


def test_a_json_column_comes_from_text_in_parquet(bigquery: Warehouse) -> None:
    load_parquet(bigquery, pa.table({"j": ['{"a": [1]}', None]}), schema=[SchemaField("j", "JSON")])
    assert bigquery.rows() == [{"j": {"a": [1]}}, {"j": None}]


def test_an_array_that_is_null_is_empty(bigquery: Warehouse) -> None:
    table = pa.table({"v": pa.array([None, [], [1.0]], pa.list_(pa.float32()))})
    load_parquet(bigquery, table, schema=[SchemaField("v", "FLOAT64", "REPEATED")])
    assert bigquery.rows() == [{"v": []}, {"v": []}, {"v": [1.0]}]
    counts = bigquery.ask(f"SELECT ARRAY_LENGTH(v) AS n FROM {bigquery.sql()} ORDER BY n")
    assert counts == [{"n": 0}, {"n": 0}, {"n": 1}]


def test_an_array_with_a_null_in_it_is_refused(bigquery: Warehouse) -> None:
    with pytest.raises(BadRequest, match="null element; error in writing field v"):
        load_parquet(bigquery, pa.table({"v": [[1.0, None]]}))
    with pytest.raises(NotFound):
        bigquery.client.get_table(bigquery.table())


@pytest.mark.parametrize(
    "table, fields, said",
    [
        (pa.table({"x": ["1"]}), [X], "Parquet column 'x' has type STRING"),
        (pa.table({"x": [1]}), [SchemaField("x", "FLOAT")], "Parquet column 'x' has type INTEGER"),
        (pa.table({"x": [[1]]}), [X], "Parquet column 'x' has type"),
        (pa.table({"x": [1], "z": [1]}), [X], "No such field: z"),
        (pa.table({"x": [1, None]}), [SchemaField("x", "INTEGER", "REQUIRED")], "Missing required"),
    ],
)
def test_parquet_that_does_not_fit_its_schema_is_refused(
    bigquery: Warehouse, table: pa.Table, fields: list[SchemaField], said: str
) -> None:
    with pytest.raises(BadRequest, match=said):
        load_parquet(bigquery, table, schema=fields)


def test_a_list_in_parquet_asks_for_list_inference(bigquery: Warehouse) -> None:
    with pytest.raises(BadRequest, match="enable_list_inference"):
        load_parquet(bigquery, pa.table({"v": [[1.0]]}), lists=False)


def test_a_load_may_replace_rows_and_schema(bigquery: Warehouse) -> None:
    bigquery.load([{"x": 1}], schema=[X])
    bigquery.load([{"y": "a"}], schema=[Y], write_disposition="WRITE_TRUNCATE")
    assert bigquery.rows() == [{"y": "a"}]
    load_parquet(bigquery, pa.table({"z": [1.5]}), write_disposition="WRITE_TRUNCATE")
    assert bigquery.rows() == [{"z": 1.5}]
    assert bigquery.ask(f"SELECT z FROM {bigquery.sql()}") == [{"z": 1.5}]


def test_a_load_that_fails_leaves_the_table_as_it_was(bigquery: Warehouse) -> None:
    bigquery.load([{"x": 1}], schema=[X])
    with pytest.raises(BadRequest):
        bigquery.load([{"x": 2}, {"x": "b"}], schema=[X], write_disposition="WRITE_TRUNCATE")
    with pytest.raises(BadRequest):
        bigquery.load([{"x": 3}, {"x": "b"}], schema=[X])
    with pytest.raises(BadRequest, match="null element"):
        load_parquet(bigquery, pa.table({"x": [[4, None]]}), write_disposition="WRITE_TRUNCATE")
    assert bigquery.rows() == [{"x": 1}]
    assert bigquery.ask(f"SELECT * FROM {bigquery.sql()}") == [{"x": 1}]


def test_a_load_appends_and_counts_its_own_rows(bigquery: Warehouse) -> None:
    bigquery.load([{"x": 1}], schema=[X])
    assert bigquery.load([{"x": 2}, {"x": 3}], schema=[X]).output_rows == 2
    assert bigquery.client.get_table(bigquery.table()).num_rows == 3


def test_a_load_into_a_table_with_rows_is_a_conflict_when_there_may_be_none(
    bigquery: Warehouse,
) -> None:
    bigquery.load([{"x": 1}], schema=[X], write_disposition="WRITE_EMPTY")
    with pytest.raises(Conflict, match="Already Exists: Table"):
        bigquery.load([{"x": 2}], schema=[X], write_disposition="WRITE_EMPTY")
    assert bigquery.rows() == [{"x": 1}]


def test_a_load_may_add_columns(bigquery: Warehouse) -> None:
    bigquery.load([{"x": 1}], schema=[X])
    with pytest.raises(BadRequest, match=r"Cannot add fields \(field: y\)"):
        bigquery.load([{"x": 2, "y": "b"}], schema=[X, Y])
    bigquery.load(
        [{"x": 2, "y": "b"}], schema=[X, Y], schema_update_options=["ALLOW_FIELD_ADDITION"]
    )
    assert bigquery.rows() == [{"x": 1, "y": None}, {"x": 2, "y": "b"}]


def test_a_load_may_not_change_a_type(bigquery: Warehouse) -> None:
    bigquery.load([{"x": 1}], schema=[X])
    with pytest.raises(BadRequest, match="Field x has changed type from INTEGER to STRING"):
        bigquery.load([{"x": "b"}], schema=[SchemaField("x", "STRING")])


def test_a_load_keeps_partitions_and_clusters_that_are_asked(bigquery: Warehouse) -> None:
    bigquery.load(
        [{"day": "2026-01-02", "k": "a"}],
        schema=[SchemaField("day", "DATE"), SchemaField("k", "STRING")],
        time_partitioning=TimePartitioning(field="day"),
        clustering_fields=["k"],
    )
    table = bigquery.client.get_table(bigquery.table())
    assert (table.time_partitioning.field, table.clustering_fields) == ("day", ["k"])


def test_lines_of_json_hold_every_type(bigquery: Warehouse) -> None:
    schema = [
        SchemaField("i", "INT64"),
        SchemaField("f", "FLOAT64"),
        SchemaField("y", "BYTES"),
        SchemaField("t", "TIMESTAMP"),
        SchemaField("j", "JSON"),
        SchemaField("v", "FLOAT64", "REPEATED"),
        SchemaField("r", "RECORD", fields=[SchemaField("s", "STRING", "REPEATED")]),
    ]
    row = {
        "r": {"s": ["a", "b\u2028"]},
        "v": [1, 0.25],
        "j": {"k": [None, 1.5, "é"]},
        "t": "2026-01-02T03:04:05.678901Z",
        "y": "AAEC",
        "f": 2,
        "i": "9007199254740993",
    }
    bigquery.load([row, {}], schema=schema)
    first, second = bigquery.rows()
    assert first == row | {
        "t": dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC),
        "y": b"\x00\x01\x02",
        "i": 9007199254740993,
    }
    assert second == dict.fromkeys(first) | {"v": []}


@pytest.mark.parametrize(
    "row, said",
    [
        ({"x": 1, "z": 1}, "No such field: z"),
        ({"x": None}, "Missing required field: x"),
        ({"x": "one"}, "Error while reading data"),
    ],
)
def test_a_bad_line_of_json_is_refused(bigquery: Warehouse, row: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        bigquery.load([row], schema=[SchemaField("x", "INTEGER", "REQUIRED")])


def test_unknown_fields_may_be_ignored(bigquery: Warehouse) -> None:
    bigquery.load([{"x": 1, "z": 1}], schema=[X], ignore_unknown_values=True)
    assert bigquery.rows() == [{"x": 1}]


def test_a_schema_is_found_when_that_is_asked(bigquery: Warehouse) -> None:
    bigquery.load([{"x": 1, "s": "a", "l": [1.5]}], autodetect=True)
    assert bigquery.rows() == [{"x": 1, "s": "a", "l": [1.5]}]
    with pytest.raises(BadRequest, match="No schema specified on job or table"):
        bigquery.client.load_table_from_file(
            io.BytesIO(b'{"x": 1}\n'),
            bigquery.table("other"),
            job_config=LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON"),
        ).result()


def test_packed_lines_are_recognised(bigquery: Warehouse) -> None:
    bigquery.client.load_table_from_file(
        io.BytesIO(gzip.compress(b'{"x": 1}\n{"x": 2}\n')),
        bigquery.table(),
        job_config=LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=[X]),
    ).result()
    assert bigquery.rows() == [{"x": 1}, {"x": 2}]


def test_csv_has_the_header_that_is_said(bigquery: Warehouse) -> None:
    content = b'x|y\n1|"a|\nb"\n2|\n'
    config = LoadJobConfig(schema=[X, Y], field_delimiter="|", skip_leading_rows=1)
    bigquery.client.load_table_from_file(
        io.BytesIO(content), bigquery.table(), size=len(content), job_config=config
    ).result()
    assert bigquery.rows() == [{"x": 1, "y": "a|\nb"}, {"x": 2, "y": None}]
