from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.api_core.exceptions import NotFound
from google.cloud.bigquery import LoadJobConfig, QueryJobConfig

if TYPE_CHECKING:
    from tests.warehouse import Warehouse


def test_a_dataset_stays_where_it_was_made(bigquery: Warehouse) -> None:
    dataset = bigquery.new_dataset("us-central1")
    assert bigquery.client.get_dataset(dataset).location == "us-central1"
    bigquery.client.query(f"CREATE TABLE `{dataset}.rows` (x INT64)").result()
    assert bigquery.client.get_table(f"{dataset}.rows").location == "us-central1"


def test_a_job_runs_where_its_tables_are(bigquery: Warehouse) -> None:
    dataset = bigquery.new_dataset("europe-west4")
    bigquery.client.query(f"CREATE TABLE `{dataset}.rows` (x INT64)").result()
    job = bigquery.client.query(f"WITH w AS (SELECT * FROM `{dataset}.rows`) SELECT * FROM w")
    assert job.location == "europe-west4"
    assert list(job.result()) == []
    config = LoadJobConfig(write_disposition="WRITE_APPEND")
    load = bigquery.client.load_table_from_json([{"x": 1}], f"{dataset}.rows", job_config=config)
    assert load.result().location == "europe-west4"


@pytest.mark.parametrize("place", ["us-east1", "US"])
def test_a_job_elsewhere_does_not_find_its_tables(bigquery: Warehouse, place: str) -> None:
    dataset = bigquery.new_dataset("us-central1")
    said = f"Not found: Dataset {dataset.replace('.', ':')} was not found in location {place}"
    with pytest.raises(NotFound, match=said):
        bigquery.client.query(f"SELECT * FROM `{dataset}.rows`", location=place).result()
    with pytest.raises(NotFound, match=said):
        bigquery.client.load_table_from_json([{"x": 1}], f"{dataset}.rows", location=place)
    with pytest.raises(NotFound, match=said):
        bigquery.client.query_and_wait(f"SELECT * FROM `{dataset}.rows`", location=place)


def test_tables_in_two_places_are_not_queried_together(bigquery: Warehouse) -> None:
    there = bigquery.new_dataset("us-central1")
    config = QueryJobConfig(destination=f"{there}.rows")
    bigquery.client.query(f"CREATE TABLE `{there}.rows` (x INT64)").result()
    bigquery.ask(f"CREATE TABLE {bigquery.sql()} (x INT64)")
    with pytest.raises(NotFound, match="was not found in location"):
        bigquery.ask(f"SELECT * FROM {bigquery.sql()} JOIN `{there}.rows` USING (x)")
    with pytest.raises(NotFound, match="was not found in location"):
        bigquery.client.query(f"SELECT * FROM {bigquery.sql()}", job_config=config).result()
