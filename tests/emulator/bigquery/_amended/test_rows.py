from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from google.cloud.bigquery import SchemaField, Table

if TYPE_CHECKING:
    from tests.warehouse import Warehouse

SCHEMA = [SchemaField("x", "INTEGER", "REQUIRED"), SchemaField("s", "STRING")]


def made(bigquery: Warehouse) -> Table:
    return bigquery.client.create_table(Table(bigquery.table(), SCHEMA))


def test_rows_are_inserted_all_or_none(bigquery: Warehouse) -> None:
    table = made(bigquery)
    wrong = [{"x": "one"}, {"x": 2, "z": 1}, {"s": "a"}]
    errors = bigquery.client.insert_rows_json(table, [{"x": 1}, *wrong])
    assert [(error["index"], error["errors"][0]["reason"]) for error in errors] == [
        (0, "stopped"),
        (1, "invalid"),
        (2, "invalid"),
        (3, "invalid"),
    ]
    assert [error["errors"][0]["message"] for error in errors[2:]] == [
        "no such field: z.",
        "Missing required field: x.",
    ]
    assert bigquery.rows() == []


def test_wrong_rows_may_be_skipped(bigquery: Warehouse) -> None:
    table = made(bigquery)
    rows = [{"x": "one"}, {"x": 2, "s": "b"}]
    errors = bigquery.client.insert_rows_json(table, rows, skip_invalid_rows=True)
    assert [error["index"] for error in errors] == [0]
    assert bigquery.rows() == [{"x": 2, "s": "b"}]


def test_unknown_values_may_be_ignored(bigquery: Warehouse) -> None:
    table = made(bigquery)
    rows = [{"x": 1, "z": 1}]
    assert bigquery.client.insert_rows_json(table, rows, ignore_unknown_values=True) == []
    assert bigquery.rows() == [{"x": 1, "s": None}]


def test_wide_rows_are_listed_in_pages_that_stay_small(bigquery: Warehouse) -> None:
    bigquery.ask(
        f"CREATE TABLE {bigquery.sql()} AS "
        "SELECT n, REPEAT('a', 100000) AS s FROM UNNEST(GENERATE_ARRAY(1, 250)) AS n"
    )
    listed = bigquery.client.list_rows(bigquery.table())
    pages = [[row.n for row in page] for page in listed.pages]
    assert len(pages) > 2
    assert sorted(n for page in pages for n in page) == list(range(1, 251))


def test_rows_are_listed_from_an_index_and_by_columns(bigquery: Warehouse) -> None:
    bigquery.load([{"x": n, "s": "a"} for n in range(5)], schema=SCHEMA)
    table = bigquery.client.get_table(bigquery.table())
    listed = bigquery.client.list_rows(table, table.schema[:1], start_index=1, max_results=3)
    assert [dict(row) for row in listed] == [{"x": 1}, {"x": 2}, {"x": 3}]


def test_a_table_without_rows_lists_none(bigquery: Warehouse) -> None:
    made(bigquery)
    assert bigquery.rows() == []


@pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")
def test_what_is_asked_at_once_is_answered_to_each(bigquery: Warehouse) -> None:
    names = ["a", "b", "c", "d"]
    for name in names:
        bigquery.load([{name: n} for n in range(50)], name, schema=[SchemaField(name, "INTEGER")])
    tables = [bigquery.client.get_table(bigquery.table(name)) for name in names]

    def read(number: int) -> tuple[str, list[int]]:
        name = names[number % 4]
        rows = bigquery.client.list_rows(tables[number % 4])
        if number % 3 == 0:
            return name, rows.to_arrow(bqstorage_client=bigquery.reader)[name].to_pylist()
        if number % 3 == 1:
            rows = bigquery.client.query(f"SELECT * FROM {bigquery.sql(name)}").result()
        return name, [row[name] for row in rows]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(read, range(96)))
    assert [name for name, _ in answers] == [names[number % 4] for number in range(96)]
    assert [sorted(values) for _, values in answers] == [list(range(50))] * 96
