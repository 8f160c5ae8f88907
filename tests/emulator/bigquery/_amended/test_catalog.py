from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from google.api_core.exceptions import Conflict, NotFound
from google.cloud.bigquery import SchemaField, Table

if TYPE_CHECKING:
    from tests.warehouse import Warehouse


def test_what_is_in_a_missing_dataset_is_not_found(bigquery: Warehouse) -> None:
    absent = f"{bigquery.project}.absent"
    said = "Not found: Dataset emulator-project:absent"
    with pytest.raises(NotFound, match=said):
        bigquery.client.create_table(Table(f"{absent}.rows", [SchemaField("x", "INTEGER")]))
    with pytest.raises(NotFound, match=said):
        bigquery.client.get_table(f"{absent}.rows")
    with pytest.raises(NotFound, match=said):
        list(bigquery.client.list_tables(absent))
    with pytest.raises(NotFound, match=said):
        bigquery.client.get_dataset(absent)


def test_a_table_is_made_once(bigquery: Warehouse) -> None:
    table = Table(bigquery.table(), [SchemaField("x", "INTEGER")])
    bigquery.client.create_table(table)
    name = bigquery.table().replace(".", ":", 1)
    with pytest.raises(Conflict, match=f"Already Exists: Table {name}"):
        bigquery.client.create_table(table)
    bigquery.client.delete_table(table)
    with pytest.raises(NotFound, match=f"Not found: Table {name}"):
        bigquery.client.get_table(table)


def test_a_table_keeps_its_schema(bigquery: Warehouse) -> None:
    schema = [
        SchemaField("v", "FLOAT64", "REPEATED"),
        SchemaField("j", "JSON", "REQUIRED"),
        SchemaField("r", "STRUCT", fields=[SchemaField("end", "BOOL"), SchemaField("by", "INT64")]),
    ]
    bigquery.client.create_table(Table(bigquery.table(), schema))
    v, j, r = bigquery.client.get_table(bigquery.table()).schema
    assert (v.field_type, v.mode, j.field_type, j.mode) == ("FLOAT", "REPEATED", "JSON", "REQUIRED")
    assert [(f.name, f.field_type) for f in r.fields] == [("end", "BOOLEAN"), ("by", "INTEGER")]


def test_a_table_says_when_it_expires(bigquery: Warehouse) -> None:
    table = Table(bigquery.table(), [SchemaField("x", "INTEGER")])
    table.expires = dt.datetime(2030, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    bigquery.client.create_table(table)
    found = bigquery.client.get_table(bigquery.table())
    assert found.expires == table.expires
    found.labels = {"a": "b"}
    assert bigquery.client.update_table(found, ["labels"]).expires == table.expires


def test_a_table_as_it_was_can_be_asked(bigquery: Warehouse) -> None:
    bigquery.load([{"x": 1}], schema=[SchemaField("x", "INTEGER")])
    moment = dt.datetime.now(dt.UTC).isoformat()
    bigquery.load([{"x": 2}], schema=[SchemaField("x", "INTEGER")])
    past = f"SELECT x FROM {bigquery.sql()} FOR SYSTEM_TIME AS OF TIMESTAMP '{moment}'"
    assert bigquery.ask(past) == [{"x": 1}]


def test_a_table_knows_what_statements_made_of_it(bigquery: Warehouse) -> None:
    bigquery.ask(f"CREATE TABLE {bigquery.sql()} (x INT64 NOT NULL)")
    bigquery.ask(f"INSERT INTO {bigquery.sql()} VALUES (1), (2)")
    assert bigquery.client.get_table(bigquery.table()).num_rows == 2
    bigquery.ask(f"ALTER TABLE {bigquery.sql()} ADD COLUMN j JSON")
    bigquery.ask(f"DELETE FROM {bigquery.sql()} WHERE x = 1")
    table = bigquery.client.get_table(bigquery.table())
    fields = [(field.name, field.field_type, field.mode) for field in table.schema]
    assert fields == [("x", "INTEGER", "REQUIRED"), ("j", "JSON", "NULLABLE")]
    assert table.num_rows == 1
    assert bigquery.rows() == [{"x": 2, "j": None}]


def test_a_column_may_be_added(bigquery: Warehouse) -> None:
    bigquery.load([{"x": 1}], schema=[SchemaField("x", "INTEGER")])
    table = bigquery.client.get_table(bigquery.table())
    table.schema = [*table.schema, SchemaField("v", "FLOAT64", "REPEATED")]
    bigquery.client.update_table(table, ["schema"])
    assert bigquery.rows() == [{"x": 1, "v": []}]
    assert bigquery.ask(f"SELECT x, v FROM {bigquery.sql()}") == [{"x": 1, "v": []}]
