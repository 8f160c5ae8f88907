from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchkit.emulator import serve

from .client import BUCKET, MODEL, VertexClient, generate_line

if TYPE_CHECKING:
    from batchkit.emulator import Clock

BQ_IN = {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": "bq://p.d.t"}}
GCS_OUT = {"gcsDestination": {"outputUriPrefix": "gs://bucket/out"}}


def gcs_in(*uris: str, **fields: Any) -> dict[str, Any]:
    return {"instancesFormat": "jsonl", "gcsSource": {"uris": list(uris)}, **fields}


def bq_out(uri: str) -> dict[str, Any]:
    return {"predictionsFormat": "bigquery", "bigqueryDestination": {"outputUri": uri}}


@pytest.mark.parametrize(
    "change, said",
    [
        ({"unknown": 1}, 'Unknown name "unknown"'),
        ({"labels": {"a": 1}}, "labels"),
        ({"labels": {"A": "b"}}, "Labels have at most 63 lower-case letters"),
        ({"labels": {"a": "b" * 64}}, "Labels have at most 63"),
        ({"displayName": None}, "displayName is not specified"),
        ({"displayName": "a" * 129}, "at most 128 characters"),
        ({"inputConfig": None}, "inputConfig is not specified"),
        ({"outputConfig": None}, "outputConfig is not specified"),
        ({"model": None}, "model is not specified"),
        (
            {"inputConfig": {"gcsSource": {"uris": ["gs://bucket/i"]}}},
            "instancesFormat is not specif",
        ),
        ({"inputConfig": {"instancesFormat": "jsonl"}}, "exactly one of gcsSource"),
        ({"inputConfig": {**BQ_IN, **gcs_in("gs://bucket/i")}}, "exactly one of gcsSource"),
        ({"inputConfig": gcs_in("gs://bucket/i", instancesFormat="csv")}, "instances_format: csv"),
        ({"inputConfig": {**BQ_IN, "instancesFormat": "jsonl"}}, "instances_format: jsonl"),
        ({"inputConfig": gcs_in()}, "Invalid Cloud Storage URI"),
        (
            {"inputConfig": gcs_in("gs://bucket/i", "s3://b/i")},
            "Invalid Cloud Storage URI: s3://b/i",
        ),
        ({"inputConfig": gcs_in("gs://bucket")}, "Invalid Cloud Storage URI: gs://bucket"),
        ({"inputConfig": {**BQ_IN, "bigquerySource": {"inputUri": "p.d.t"}}}, "BigQuery URI"),
        ({"inputConfig": {**BQ_IN, "bigquerySource": {"inputUri": "bq://p.d"}}}, "BigQuery URI"),
        ({"outputConfig": GCS_OUT}, "predictionsFormat is not specified"),
        ({"outputConfig": {**GCS_OUT, "predictionsFormat": "csv"}}, "predictions_format: csv"),
        ({"outputConfig": {"predictionsFormat": "jsonl"}}, "exactly one of gcsDestination"),
        ({"outputConfig": bq_out("p.d")}, "Invalid BigQuery URI: p.d"),
        ({"outputConfig": bq_out("bq://p.d.t.x")}, "Invalid BigQuery URI"),
        ({"model": "gemini-3.5-flash"}, "Do not support publisher model gemini-3.5-flash"),
        ({"model": "publishers/google/models/gemini-0"}, "publisher model gemini-0"),
        ({"model": "publishers/other/models/gemini-3.5-flash"}, "Do not support publisher model"),
        (
            {"model": "publishers/google/models/gemini-embedding-001", "inputConfig": BQ_IN},
            "does not support BigQuery",
        ),
    ],
)
def test_a_create_that_cannot_be_is_refused(
    here: VertexClient, change: dict[str, Any], said: str
) -> None:
    body = {**here.body(f"gs://{BUCKET}/in.jsonl"), **change}
    error = here.refused("POST", json=body)
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert said in error["message"]
    assert here.call("GET") == {}


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"'])
def test_a_body_that_is_no_message_is_refused(here: VertexClient, body: bytes) -> None:
    assert here.refused("POST", data=body)["code"] == 400


def test_tables_are_not_read_in_the_location_global(here: VertexClient) -> None:
    body = {**here.body(), "inputConfig": BQ_IN}
    path = "projects/p1/locations/global/batchPredictionJobs"
    assert (
        "not supported in the location global" in here.refused("POST", path, json=body)["message"]
    )


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        f"{MODEL}@default",
        f"projects/p1/locations/us-central1/{MODEL}",
        "projects/p1/locations/us-central1/models/7",
    ],
)
def test_a_model_is_named_in_every_way_the_service_knows(clock: Clock, model: str) -> None:
    tuned = ["projects/p1/locations/us-central1/models/7"]
    with serve(clock=clock, buckets=[BUCKET], models=tuned) as emulator:
        client = VertexClient(emulator)
        job = client.run([generate_line("Hello")], model)
        assert (job["model"], job["state"]) == (model, "JOB_STATE_SUCCEEDED")
        client.session.close()


def test_what_only_the_service_says_is_ignored_in_a_create(here: VertexClient) -> None:
    uri = here.put("in.jsonl", [generate_line("Hello")])
    job = here.create(uri, name="x", state="JOB_STATE_FAILED", createTime="2020-01-01T00:00:00Z")
    assert job["name"].startswith("projects/p1/locations/us-central1/batchPredictionJobs/")
    assert job["createTime"] == "2026-01-06T11:09:11.943530Z"
    assert here.state(job) == "SUCCEEDED"


def test_jobs_of_one_instant_write_to_folders_of_their_own(here: VertexClient) -> None:
    uri = here.put("in.jsonl", [generate_line("Hello")])
    jobs = [here.get(here.create(uri)) for _ in range(3)]
    assert [job["outputInfo"]["gcsOutputDirectory"] for job in jobs] == [
        f"gs://{BUCKET}/out/prediction-model-2026-01-06T11:09:11.94353{number}Z"
        for number in range(3)
    ]
