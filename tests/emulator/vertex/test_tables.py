from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from google.cloud import bigquery as google_bigquery

from batchkit.emulator import serve

from .client import BUCKET, MODEL, VertexClient, generate_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator import Clock
    from tests.warehouse import Warehouse

LEGACY = "publishers/google/models/text-embedding-005"
FIELD = google_bigquery.SchemaField
REQUESTS = [FIELD("key", "STRING"), FIELD("request", "JSON"), FIELD("n", "INTEGER")]
Fields = list[google_bigquery.SchemaField]


class Tables:
    """An emulator's client, and a dataset where its jobs run."""

    def __init__(self, client: VertexClient, warehouse: Warehouse) -> None:
        self.client = client
        self.warehouse = warehouse
        self.dataset = warehouse.new_dataset("us-central1")

    def table(self, rows: list[dict[str, Any]], fields: Fields, name: str = "requests") -> str:
        """A table of these rows: its name as the API writes it."""
        path = f"{self.dataset}.{name}"
        config = google_bigquery.LoadJobConfig(schema=fields)
        load = self.warehouse.client.load_table_from_json
        load(rows, path, job_config=config, location="us-central1").result()
        return f"bq://{path}"

    def create(self, source: str, to: str, model: str = MODEL) -> dict[str, Any]:
        body = self.client.body(model=model)
        body["inputConfig"] = {
            "instancesFormat": "bigquery",
            "bigquerySource": {"inputUri": source},
        }
        if to.startswith("bq://"):
            body["outputConfig"] = bigquery_output(to)
        return self.client.call("POST", json=body)

    def rows(self, path: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.warehouse.client.list_rows(path)]

    def failure(self, source: str, to: str, model: str = MODEL) -> str:
        job = self.client.get(self.create(source, to, model))
        assert job["state"] == "JOB_STATE_FAILED", job
        return job["error"]["message"]


def bigquery_output(uri: str) -> dict[str, Any]:
    return {"predictionsFormat": "bigquery", "bigqueryDestination": {"outputUri": uri}}


@pytest.fixture
def tables(clock: Clock, bigquery: Warehouse) -> Iterator[Tables]:
    with serve(clock=clock, buckets=[BUCKET], bigquery=bigquery.server) as emulator:
        client = VertexClient(emulator)
        yield Tables(client, bigquery)
        client.session.close()


def keyed(number: int, text: str | None = None, role: str = "user") -> dict[str, Any]:
    content = {"role": role, "parts": [{"text": text or f"Hello {number}"}]}
    return {"key": f"k{number}", "request": {"contents": [content]}, "n": number}


def value(cell: Any) -> Any:
    return json.loads(cell) if isinstance(cell, str) else cell


def test_a_table_comes_back_with_its_columns_and_its_answers(tables: Tables) -> None:
    source = tables.table([*map(keyed, range(5)), keyed(5, role="tester")], REQUESTS)
    job = tables.client.get(tables.create(source, f"bq://{tables.dataset}.answers"))
    assert job["state"] == "JOB_STATE_SUCCEEDED", job
    assert job["outputInfo"] == {
        "bigqueryOutputDataset": f"bq://{tables.dataset}",
        "bigqueryOutputTable": "answers",
    }
    assert job["completionStats"] == {"successfulCount": "5", "failedCount": "1"}
    rows = tables.rows(f"{tables.dataset}.answers")
    assert list(rows[0]) == ["key", "request", "n", "response", "status", "processed_time"]
    by_key = {row["key"]: row for row in rows}
    assert list(by_key) != sorted(by_key)
    for number in range(5):
        row = by_key[f"k{number}"]
        (candidate,) = value(row["response"])["candidates"]
        assert candidate["content"]["parts"] == [{"text": f"Echo: Hello {number}"}]
        assert value(row["request"]) == keyed(number)["request"]
        assert (row["n"], row["status"]) == (number, "")
        assert row["processed_time"] == tables.client.emulator.clock.now()
    assert value(by_key["k5"]["response"]) == {}
    assert by_key["k5"]["status"] == (
        'Bad Request: {"error": {"code": 400, "message": "Please use a valid role: user, model.", '
        '"status": "INVALID_ARGUMENT"}}'
    )
    assert tables.client.emulator.stats()["requests"] == {f"k{number}": 1 for number in range(6)}


def test_requests_may_be_texts_and_then_responses_are(tables: Tables) -> None:
    fields = [FIELD("request", "STRING")]
    rows = [{"request": json.dumps(keyed(1)["request"])}, {"request": "{"}, {"request": None}]
    job = tables.create(tables.table(rows, fields), f"bq://{tables.dataset}.answers")
    assert tables.client.get(job)["completionStats"] == {"successfulCount": "1", "failedCount": "2"}
    table = tables.warehouse.client.get_table(f"{tables.dataset}.answers")
    assert {field.name: field.field_type for field in table.schema} == {
        "request": "STRING",
        "response": "STRING",
        "status": "STRING",
        "processed_time": "TIMESTAMP",
    }


def test_columns_of_scalars_pass_through_unchanged(tables: Tables) -> None:
    kinds = ["STRING", "BYTES", "INTEGER", "FLOAT", "BOOLEAN", "TIMESTAMP", "DATE", "NUMERIC"]
    fields = [FIELD("request", "JSON"), *(FIELD(kind.lower(), kind) for kind in kinds)]
    row = {
        "request": keyed(0)["request"],
        "string": "a\n☃",
        "integer": -(2**62),
        "float": 0.1,
        "boolean": True,
        "timestamp": "2026-01-06T11:09:11.943530Z",
        "date": "2026-01-06",
        "numeric": "1.5",
    }
    source = tables.table([row, {"request": keyed(1)["request"]}], fields)
    tables.client.get(tables.create(source, f"bq://{tables.dataset}.answers"))
    before = {row["string"]: row for row in tables.rows(source.removeprefix("bq://"))}
    after = {row["string"]: row for row in tables.rows(f"{tables.dataset}.answers")}
    assert before.keys() == after.keys() == {"a\n☃", None}
    for key, row in before.items():
        for name in (kind.lower() for kind in kinds):
            assert after[key][name] == row[name], name


def test_a_dataset_gets_a_table_of_the_jobs_own(tables: Tables) -> None:
    source = tables.table([keyed(0)], REQUESTS)
    made = [tables.create(source, f"bq://{tables.dataset}") for _ in range(2)]
    names = [tables.client.get(job)["outputInfo"]["bigqueryOutputTable"] for job in made]
    assert names == [
        "predictions_2026_01_06T11_09_11_943530Z",
        "predictions_2026_01_06T11_09_11_943531Z",
    ]
    for name in names:
        assert [row["key"] for row in tables.rows(f"{tables.dataset}.{name}")] == ["k0"]


def test_a_project_gets_a_dataset_where_the_job_runs(tables: Tables) -> None:
    source = tables.table([keyed(0)], REQUESTS)
    job = tables.client.get(tables.create(source, f"bq://{tables.warehouse.project}"))
    dataset = job["outputInfo"]["bigqueryOutputDataset"].removeprefix("bq://")
    found = tables.warehouse.client.get_dataset(dataset)
    assert found.location.lower() == "us-central1"
    tables.warehouse.client.delete_dataset(dataset, delete_contents=True)


def test_objects_may_become_a_table_and_a_table_objects(tables: Tables) -> None:
    uri = tables.client.put("in.jsonl", [generate_line("Hello")])
    to_table = bigquery_output(f"bq://{tables.dataset}.answers")
    tables.client.get(tables.client.create(uri, outputConfig=to_table))
    (row,) = tables.rows(f"{tables.dataset}.answers")
    assert value(row["request"]) == generate_line("Hello")["request"]
    assert value(row["response"])["candidates"]
    job = tables.create(tables.table([keyed(0)], REQUESTS), "gs://")
    (line,) = tables.client.output(job)
    assert line["request"] == keyed(0)["request"]


def test_text_embeddings_are_made_of_a_column_content(tables: Tables) -> None:
    source = tables.table([{"content": "a b"}, {"content": ""}], [FIELD("content", "STRING")])
    job = tables.create(source, f"bq://{tables.dataset}.answers", LEGACY)
    assert tables.client.get(job)["completionStats"] == {"successfulCount": "1", "failedCount": "1"}
    rows = {row["content"]: row for row in tables.rows(f"{tables.dataset}.answers")}
    assert list(rows["a b"]) == ["content", "predictions", "status"]
    (prediction,) = value(rows["a b"]["predictions"])
    assert prediction["embeddings"]["statistics"] == {"token_count": 1, "truncated": False}
    assert len(prediction["embeddings"]["values"]) == 768
    assert rows[""]["status"].startswith("Bad Request: ")


@pytest.mark.parametrize(
    "field, said",
    [
        (FIELD("x", "INTEGER", mode="REPEATED"), "column x, whose type ARRAY"),
        (FIELD("x", "RECORD", fields=[FIELD("a", "STRING")]), "column x, whose type "),
        (FIELD("x", "DATETIME"), "column x, whose type DATETIME"),
        (FIELD("status", "STRING"), "column status, whose name is reserved"),
        (FIELD("response", "JSON"), "column response, whose name is reserved"),
    ],
)
def test_a_column_that_the_service_does_not_take_fails_the_job(
    tables: Tables, field: google_bigquery.SchemaField, said: str
) -> None:
    source = tables.table([keyed(0)], [*REQUESTS, field])
    assert said in tables.failure(source, f"bq://{tables.dataset}.answers")


def test_a_table_needs_its_column_of_requests(tables: Tables) -> None:
    source = tables.table([{"n": 1}], [FIELD("n", "INTEGER")])
    said = tables.failure(source, f"bq://{tables.dataset}.answers")
    assert "must have a column request of type JSON or STRING" in said
    said = tables.failure(source, f"bq://{tables.dataset}.answers", LEGACY)
    assert "must have a column content of type STRING" in said


def test_a_table_that_is_there_already_is_not_written(tables: Tables) -> None:
    source = tables.table([keyed(0)], REQUESTS)
    taken = tables.table([{"n": 7}], [FIELD("n", "INTEGER")], "taken")
    assert tables.failure(source, taken) == f"Already Exists: Table {tables.dataset}.taken"
    assert tables.rows(f"{tables.dataset}.taken") == [{"n": 7}]


def test_what_is_not_there_fails_the_job(tables: Tables) -> None:
    source = tables.table([keyed(0)], REQUESTS)
    nowhere = f"bq://{tables.warehouse.project}.nowhere.t"
    assert "nowhere" in tables.failure(nowhere, f"bq://{tables.dataset}.answers")
    assert "nowhere" in tables.failure(source, nowhere)
    missing = f"bq://{tables.dataset}.missing"
    said = tables.failure(missing, f"bq://{tables.dataset}.answers")
    assert said == f"Not found: Table {tables.dataset}.missing"
    empty = tables.dataset + ".empty"
    tables.warehouse.client.create_table(google_bigquery.Table(empty, REQUESTS))
    said = tables.failure(f"bq://{empty}", f"bq://{tables.dataset}.answers")
    assert said.startswith("There are no requests")


@pytest.mark.parametrize(
    "location, said", [("US", "multi-region US"), ("europe-west4", "not found in location")]
)
def test_a_dataset_that_is_elsewhere_fails_the_job(
    tables: Tables, location: str, said: str
) -> None:
    source = tables.table([keyed(0)], REQUESTS)
    elsewhere = f"bq://{tables.warehouse.new_dataset(location)}.t"
    assert said in tables.failure(source, elsewhere)
    assert said in tables.failure(elsewhere, f"bq://{tables.dataset}.answers")


def test_without_bigquery_a_job_on_tables_fails(here: VertexClient) -> None:
    uri = here.put("in.jsonl", [generate_line("Hello")])
    job = here.get(here.create(uri, outputConfig=bigquery_output("bq://p.d.t")))
    assert job["state"] == "JOB_STATE_FAILED"
    assert "has no BigQuery" in job["error"]["message"]


def test_the_emulator_is_told_of_bigquery_by_variables_too(bigquery: Warehouse) -> None:
    with serve(buckets=[BUCKET], bigquery=bigquery.server.environment) as emulator:
        tables = Tables(VertexClient(emulator), bigquery)
        source = tables.table([keyed(0)], REQUESTS)
        job = tables.create(source, f"bq://{tables.dataset}.answers")
        assert tables.client.state(job) == "SUCCEEDED"
        tables.client.session.close()
