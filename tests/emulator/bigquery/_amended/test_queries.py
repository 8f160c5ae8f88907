from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud.bigquery import QueryJobConfig, TimePartitioning

if TYPE_CHECKING:
    from tests.warehouse import Warehouse


def put(bigquery: Warehouse, sql: str, **config: Any) -> Any:
    job_config = QueryJobConfig(destination=bigquery.table(), **config)
    return bigquery.client.query(sql, job_config=job_config).result()


def test_a_query_makes_its_destination_table(bigquery: Warehouse) -> None:
    put(bigquery, "SELECT 1 AS x, ['a', 'b'] AS y, JSON '{\"k\": [1]}' AS j, STRUCT(2 AS z) AS s")
    assert bigquery.rows() == [{"x": 1, "y": ["a", "b"], "j": {"k": [1]}, "s": {"z": 2}}]
    schema = bigquery.client.get_table(bigquery.table()).schema
    assert [(field.name, field.field_type, field.mode) for field in schema] == [
        ("x", "INTEGER", "NULLABLE"),
        ("y", "STRING", "REPEATED"),
        ("j", "JSON", "NULLABLE"),
        ("s", "RECORD", "NULLABLE"),
    ]


def test_a_destination_is_written_only_when_it_is_empty(bigquery: Warehouse) -> None:
    put(bigquery, "SELECT 1 AS x LIMIT 0")
    put(bigquery, "SELECT 2 AS x")
    with pytest.raises(Conflict, match="Already Exists: Table emulator-project:test_"):
        put(bigquery, "SELECT 3 AS x")
    assert bigquery.rows() == [{"x": 2}]


def test_a_destination_is_replaced_with_its_schema(bigquery: Warehouse) -> None:
    put(bigquery, "SELECT 1 AS x")
    put(bigquery, "SELECT 'a' AS y", write_disposition="WRITE_TRUNCATE")
    assert bigquery.rows() == [{"y": "a"}]
    assert bigquery.ask(f"SELECT * FROM {bigquery.sql()}") == [{"y": "a"}]


def test_a_destination_is_appended_to_and_its_rows_are_those_of_the_job(
    bigquery: Warehouse,
) -> None:
    put(bigquery, "SELECT 1 AS x, 'a' AS y")
    found = put(bigquery, "SELECT 'b' AS y, 2 AS x", write_disposition="WRITE_APPEND")
    assert [dict(row) for row in found] == [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]
    assert bigquery.client.get_table(bigquery.table()).num_rows == 2


@pytest.mark.parametrize(
    "sql, said",
    [
        ("SELECT 'a' AS x", "Field x has changed type from INTEGER to STRING"),
        ("SELECT 1 AS x, 2 AS z", r"Cannot add fields \(field: z\)"),
    ],
)
def test_rows_that_do_not_fit_are_not_appended(bigquery: Warehouse, sql: str, said: str) -> None:
    put(bigquery, "SELECT 1 AS x")
    with pytest.raises(BadRequest, match=said):
        put(bigquery, sql, write_disposition="WRITE_APPEND")
    assert bigquery.rows() == [{"x": 1}]


def test_a_job_may_add_columns(bigquery: Warehouse) -> None:
    put(bigquery, "SELECT 1 AS x")
    options = {
        "write_disposition": "WRITE_APPEND",
        "schema_update_options": ["ALLOW_FIELD_ADDITION"],
    }
    put(bigquery, "SELECT 2 AS x, 'b' AS z", **options)
    assert bigquery.rows() == [{"x": 1, "z": None}, {"x": 2, "z": "b"}]


def test_a_table_that_may_not_be_made_is_not_found(bigquery: Warehouse) -> None:
    with pytest.raises(NotFound, match="Not found: Table"):
        put(bigquery, "SELECT 1 AS x", create_disposition="CREATE_NEVER")


def test_a_destination_in_a_missing_dataset_is_not_found(bigquery: Warehouse) -> None:
    config = QueryJobConfig(destination=f"{bigquery.project}.absent.rows")
    with pytest.raises(NotFound, match="Not found: Dataset emulator-project:absent"):
        bigquery.client.query("SELECT 1 AS x", job_config=config).result()


def test_a_query_that_fails_leaves_its_destination_alone(bigquery: Warehouse) -> None:
    put(bigquery, "SELECT 1 AS x")
    with pytest.raises(BadRequest):
        put(bigquery, "SELECT CAST('a' AS INT64) AS x", write_disposition="WRITE_TRUNCATE")
    assert bigquery.rows() == [{"x": 1}]


@pytest.mark.parametrize("sql", ["CREATE TABLE {} (x INT64)", "DELETE FROM {} WHERE true"])
def test_a_statement_without_rows_has_no_destination(bigquery: Warehouse, sql: str) -> None:
    put(bigquery, "SELECT 1 AS x")
    with pytest.raises(BadRequest, match="Cannot set destination table"):
        put(bigquery, sql.format(bigquery.sql()))


def test_a_destination_keeps_partitions_and_clusters_that_are_asked(bigquery: Warehouse) -> None:
    put(
        bigquery,
        "SELECT DATE '2026-01-02' AS day, 'a' AS k",
        time_partitioning=TimePartitioning(field="day"),
        clustering_fields=["k"],
    )
    table = bigquery.client.get_table(bigquery.table())
    assert table.time_partitioning.field == "day"
    assert table.clustering_fields == ["k"]


@pytest.mark.parametrize(
    "sql, kind",
    [
        ("SELEKT 1", BadRequest),
        ("SELECT * FROM {}", NotFound),
        ("SELECT nothing FROM (SELECT 1 AS x)", BadRequest),
        ("SELECT 1 / 0 AS x", BadRequest),
    ],
)
def test_a_bad_query_is_an_error_however_it_is_asked(
    bigquery: Warehouse, sql: str, kind: type[Exception]
) -> None:
    sql = sql.format(bigquery.sql("absent"))
    with pytest.raises(kind):
        bigquery.client.query_and_wait(sql)
    with pytest.raises(kind):
        bigquery.client.query(sql).result()
    with pytest.raises(kind):
        bigquery.client.query(sql, job_config=QueryJobConfig(dry_run=True))


def test_a_query_that_waits_gives_rows_in_pages(bigquery: Warehouse) -> None:
    found = bigquery.client.query_and_wait(
        "SELECT x FROM UNNEST(GENERATE_ARRAY(1, 25)) AS x ORDER BY x", page_size=10
    )
    assert [len(list(page)) for page in found.pages] == [10, 10, 5]
    assert found.total_rows == 25


def test_no_rows_are_given_to_who_asks_for_none(bigquery: Warehouse) -> None:
    """Google's client takes `rows` for the first page, whatever it asked for."""
    job = bigquery.client.query("SELECT 1 AS x")
    url = f"{bigquery.server.rest_url}/bigquery/v2/projects/{bigquery.project}/queries/{job.job_id}"
    said = requests.get(url, {"maxResults": 0}, timeout=10).json()
    assert "rows" not in said
    assert said["totalRows"] == "1"


def test_a_dry_run_gives_a_schema_and_leaves_no_job(bigquery: Warehouse) -> None:
    config = QueryJobConfig(dry_run=True)
    before = [job.job_id for job in bigquery.client.list_jobs(max_results=3)]
    job = bigquery.client.query("SELECT 1 AS x", job_id="dry", job_config=config, job_retry=None)
    assert [field.name for field in job.schema] == ["x"]
    with pytest.raises(NotFound):
        bigquery.client.get_job("dry")
    assert [job.job_id for job in bigquery.client.list_jobs(max_results=3)] == before


def test_rows_without_a_table_are_in_an_anonymous_one(bigquery: Warehouse) -> None:
    job = bigquery.client.query("SELECT 1 AS x, JSON '{\"a\": null}' AS j")
    job.result()
    table = bigquery.client.get_table(job.destination)
    assert table.num_rows == 1
    assert [dict(row) for row in bigquery.client.list_rows(table)] == [{"x": 1, "j": {"a": None}}]
    assert job.destination.dataset_id.startswith("_")


def test_a_default_dataset_names_the_tables_of_either_method(bigquery: Warehouse) -> None:
    put(bigquery, "SELECT 1 AS x")
    config = QueryJobConfig(default_dataset=bigquery.dataset)
    for ask in (bigquery.client.query, bigquery.client.query_and_wait):
        found = ask("SELECT x FROM rows", job_config=config)
        assert [row.x for row in (found.result() if hasattr(found, "result") else found)] == [1]


def test_a_statement_that_changes_rows_says_how_many(bigquery: Warehouse) -> None:
    put(bigquery, "SELECT x FROM UNNEST([1, 2, 3]) AS x")
    job = bigquery.client.query(f"DELETE FROM {bigquery.sql()} WHERE x > 1")
    job.result()
    assert job.num_dml_affected_rows == 2


def test_json_columns_that_sql_makes_are_json(bigquery: Warehouse) -> None:
    bigquery.ask(
        f"CREATE TABLE {bigquery.sql()} AS SELECT JSON '{{\"a\": 1}}' AS j, [JSON '2'] AS k"
    )
    bigquery.ask(f"CREATE TABLE {bigquery.sql('more')} (j JSON NOT NULL, s STRUCT<j JSON>)")
    schema = bigquery.client.get_table(bigquery.table()).schema
    assert [(f.field_type, f.mode) for f in schema] == [("JSON", "NULLABLE"), ("JSON", "REPEATED")]
    assert bigquery.rows() == [{"j": {"a": 1}, "k": [2]}]
    j, s = bigquery.client.get_table(bigquery.table("more")).schema
    assert (j.field_type, j.mode, s.fields[0].field_type) == ("JSON", "REQUIRED", "JSON")
