from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud.bigquery import LoadJobConfig, QueryJobConfig, SchemaField

if TYPE_CHECKING:
    from tests.warehouse import Warehouse

SCHEMA = [SchemaField("x", "INTEGER")]


def test_a_query_runs_once_under_its_id(bigquery: Warehouse) -> None:
    bigquery.ask(f"CREATE TABLE {bigquery.sql()} (x INT64)")
    insert = f"INSERT INTO {bigquery.sql()} VALUES (1)"
    name = f"{bigquery.dataset.replace('.', '-')}-once"
    bigquery.client.query(insert, job_id=name, job_retry=None).result()
    with pytest.raises(Conflict, match=f"Already Exists: Job {bigquery.project}:US.{name}"):
        bigquery.client.query(insert, job_id=name, job_retry=None, retry=None)
    assert bigquery.rows() == [{"x": 1}]


@pytest.mark.parametrize("size", ["known", "unknown"], ids=["multipart", "resumable"])
def test_an_upload_runs_once_under_its_id(bigquery: Warehouse, size: str) -> None:
    def load() -> None:
        bigquery.client.load_table_from_file(
            io.BytesIO(b'{"x": 1}\n'),
            bigquery.table(),
            size=9 if size == "known" else None,
            job_id=name,
            job_config=LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=SCHEMA),
        ).result()

    name = f"{bigquery.dataset.replace('.', '-')}-once"
    load()
    with pytest.raises(Conflict, match=f"Already Exists: Job {bigquery.project}:US.{name}"):
        load()
    assert bigquery.rows() == [{"x": 1}]
    assert bigquery.client.get_job(name).output_rows == 1


def test_a_failed_job_keeps_its_id_and_its_failure(bigquery: Warehouse) -> None:
    name = f"{bigquery.dataset.replace('.', '-')}-failed"
    job = bigquery.client.query("SELECT 1 / 0", job_id=name, job_retry=None)
    found = bigquery.client.get_job(name)
    assert found.state == "DONE"
    assert found.error_result["reason"] == "invalidQuery"
    with pytest.raises(BadRequest, match="division by zero"):
        job.result()
    with pytest.raises(Conflict):
        bigquery.client.query("SELECT 1", job_id=name, job_retry=None, retry=None)


def test_a_job_that_cannot_begin_leaves_its_id_free(bigquery: Warehouse) -> None:
    name = f"{bigquery.dataset.replace('.', '-')}-free"
    config = LoadJobConfig(schema=SCHEMA)
    absent = f"{bigquery.project}.absent.rows"
    with pytest.raises(NotFound, match="Not found: Dataset emulator-project:absent"):
        bigquery.client.load_table_from_json([{"x": 1}], absent, job_id=name, job_config=config)
    with pytest.raises(NotFound):
        bigquery.client.get_job(name)
    bigquery.client.query("SELECT 1", job_id=name, job_retry=None).result()


def test_a_job_says_what_was_asked(bigquery: Warehouse) -> None:
    config = QueryJobConfig(labels={"team": "a"}, destination=bigquery.table())
    job = bigquery.client.query("SELECT 1 AS x", job_config=config)
    job.result()
    found = bigquery.client.get_job(job.job_id)
    assert found.labels == {"team": "a"}
    assert found.query == "SELECT 1 AS x"
    assert found.destination.table_id == "rows"
    assert found.started <= found.ended


def test_jobs_are_listed_from_the_newest_in_pages(bigquery: Warehouse) -> None:
    made = [bigquery.client.query(f"SELECT {number}").job_id for number in range(3)]
    listed = bigquery.client.list_jobs(page_size=2, max_results=3)
    assert [job.job_id for job in listed] == made[::-1]


def test_a_job_that_ended_can_be_cancelled(bigquery: Warehouse) -> None:
    job = bigquery.client.query("SELECT 1")
    assert bigquery.client.cancel_job(job.job_id).state == "DONE"


def test_a_job_elsewhere_is_found_by_who_says_where(bigquery: Warehouse) -> None:
    dataset = bigquery.new_dataset("us-central1")
    job = bigquery.client.query(f"CREATE TABLE `{dataset}.rows` (x INT64)")
    assert job.location == "us-central1"
    assert bigquery.client.get_job(job.job_id, location="us-central1").job_id == job.job_id
    for place in ("US", "EU", None):
        with pytest.raises(NotFound, match="Not found: Job"):
            bigquery.client.get_job(job.job_id, location=place)
