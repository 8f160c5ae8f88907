from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import batchkit as bk
from batchkit.errors import NotFoundError, ServiceError

from .client import BUCKET, PLACE, VertexClient, generate_line

if TYPE_CHECKING:
    from batchkit.emulator import Clock
    from tests.conftest import VertexService
    from tests.warehouse import Warehouse


def put(vertex: VertexService, name: str, lines: list[Any]) -> str:
    with vertex.emulator.storage.create(vertex.uri(name)) as stream:
        stream.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    return vertex.uri(name)


def labelled(number: int, role: str = "user") -> dict[str, Any]:
    content = {"role": role, "parts": [{"text": f"Hello {number}"}]}
    return {"request": {"contents": [content], "labels": {"batchkit": f"bk-{number}"}}}


def test_the_client_generates_from_objects(vertex: VertexService) -> None:
    uri = put(vertex, "in.jsonl", [*map(labelled, range(5)), labelled(5, role="tester")])
    batches = vertex.client.batches
    job = batches.create("gemini-3.5-flash", gcs_uri=uri, destination=vertex.uri("out"))
    job = batches.wait(job)
    responses = {response.label: response for response in batches.get_responses(job)}
    assert [responses[f"bk-{number}"].text for number in range(5)] == [
        f"Echo: Hello {number}" for number in range(5)
    ]
    assert responses["bk-5"].error_message == "Please use a valid role: user, model."
    assert job.completion_stats == bk.CompletionStats(6, 5, 1)
    assert vertex.paid() == {f"bk-{number}": 1 for number in range(6)}


def test_the_client_embeds_from_objects(vertex: VertexService) -> None:
    request = {"content": {"parts": [{"text": "a"}]}}
    line = {"key": "a", "request": {**request, "embed_content_config": {"outputDimensionality": 4}}}
    batches = vertex.client.batches
    (response,) = responses_of(vertex, "gemini-embedding-001", [line])
    assert (response.key, response.prompt_tokens) == ("a", 1)
    assert dimensions(response) == 4
    (response,) = responses_of(vertex, "text-embedding-005", [{"content": "a"}])
    assert dimensions(response) == 768
    assert all(job.succeeded for job in batches.list_all())


def dimensions(response: bk.Response) -> int:
    assert response.embedding is not None
    return len(response.embedding)


def responses_of(vertex: VertexService, model: str, lines: list[Any]) -> list[bk.Response]:
    batches = vertex.client.batches
    uri = put(vertex, f"{model}.jsonl", lines)
    job = batches.create_embeddings(model, gcs_uri=uri, destination=vertex.uri("out"))
    return list(batches.get_responses(batches.wait(job)))


# What its own library tells google-cloud-bigquery.
@pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")
def test_the_client_generates_and_embeds_from_tables(
    vertex: VertexService, bigquery: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bigquery.server.environment.items():
        monkeypatch.setenv(name, value)
    vertex.emulator.use_bigquery(bigquery.server)
    dataset = bigquery.new_dataset("us-central1")
    requests = [{"key": f"k{n}", "request": labelled(n)["request"]} for n in range(3)]
    load(bigquery, requests, f"{dataset}.requests")
    load(bigquery, [{"content": "a"}], f"{dataset}.texts")
    batches = vertex.client.batches
    job = batches.create(
        "gemini-3.5-flash", bigquery_uri=f"bq://{dataset}.requests", destination=f"bq://{dataset}"
    )
    texts = {each.key: each.text for each in batches.get_responses(batches.wait(job))}
    assert texts == {f"k{number}": f"Echo: Hello {number}" for number in range(3)}
    job = batches.create_embeddings(
        "text-embedding-005",
        bigquery_uri=f"bq://{dataset}.texts",
        destination=f"bq://{dataset}.vectors",
    )
    (response,) = batches.get_responses(batches.wait(job))
    assert dimensions(response) == 768


def load(bigquery: Warehouse, rows: list[dict[str, Any]], table: str) -> None:
    from google.cloud.bigquery import LoadJobConfig, SchemaField  # noqa: PLC0415  # slow to load

    kinds = {"request": "JSON"}
    schema = [SchemaField(name, kinds.get(name, "STRING")) for name in rows[0]]
    bigquery.client.load_table_from_json(
        rows, table, job_config=LoadJobConfig(schema=schema)
    ).result()


def test_the_client_finds_cancels_and_deletes(vertex: VertexService) -> None:
    batches = vertex.client.batches
    uri = put(vertex, "in.jsonl", [labelled(0)])
    to = vertex.uri("out")
    one, two = (
        batches.create("gemini-3.5-flash", gcs_uri=uri, destination=to, display_name=name)
        for name in ("mine-1", "other-1")
    )
    assert [job.name for job in batches.find("mine-")] == [one.name]
    batches.cancel(two.name)
    batches.delete(one.name)
    with pytest.raises(NotFoundError):
        batches.get(one.name)


def test_a_job_that_failed_says_why(vertex: VertexService) -> None:
    batches = vertex.client.batches
    missing = vertex.uri("missing.jsonl")
    job = batches.create("gemini-3.5-flash", gcs_uri=missing, destination=vertex.uri("out"))
    job = batches.wait(job)
    assert job.failed
    assert missing in str(job.error)


def test_a_model_that_is_not_known_is_refused(vertex: VertexService) -> None:
    with pytest.raises(ServiceError, match="Do not support publisher model gemini-0"):
        vertex.client.batches.create(
            "gemini-0", gcs_uri=vertex.uri("in.jsonl"), destination=vertex.uri("out")
        )


def test_jobs_are_listed_newest_first_in_pages(here: VertexClient) -> None:
    uri = here.put("in.jsonl", [generate_line("Hello")])
    names = [here.create(uri, displayName=f"job {number}")["name"] for number in range(5)]
    seen: list[str] = []
    parameters: dict[str, Any] = {"pageSize": 2}
    while True:
        page = here.call("GET", params=parameters)
        assert len(page["batchPredictionJobs"]) <= 2
        seen += [job["name"] for job in page["batchPredictionJobs"]]
        if "nextPageToken" not in page:
            break
        parameters["pageToken"] = page["nextPageToken"]
    assert seen == names[::-1]


def test_a_filter_is_applied_before_the_pages(slow_here: VertexClient, clock: Clock) -> None:
    uri = slow_here.put("in.jsonl", [generate_line("Hello")])
    made = [
        slow_here.create(uri, displayName=f"job {number}", labels={"odd": str(number % 2)})["name"]
        for number in range(6)
    ]
    slow_here.call("POST", f"{made[1]}:cancel")
    clock.advance(60 * 60)
    slow_here.create(uri, displayName="job 7", labels={"odd": "1"})
    wanted = 'labels.odd="1" AND state="JOB_STATE_SUCCEEDED" AND display_name:"job*"'
    first = slow_here.call("GET", params={"filter": wanted, "pageSize": 1})
    rest = slow_here.call("GET", params={"filter": wanted, "pageToken": first["nextPageToken"]})
    found = [job["name"] for page in (first, rest) for job in page["batchPredictionJobs"]]
    assert found == [made[5], made[3]]
    assert "nextPageToken" not in rest
    assert slow_here.call("GET", params={"filter": 'display_name="job 9"'}) == {}


@pytest.mark.parametrize(
    "parameters", [{"filter": "x"}, {"pageSize": "x"}, {"pageToken": "!"}, {"unknown": "1"}]
)
def test_a_list_that_cannot_be_is_refused(here: VertexClient, parameters: dict[str, str]) -> None:
    assert here.refused("GET", params=parameters)["status"] == "INVALID_ARGUMENT"


def test_jobs_belong_to_a_project_and_a_location(here: VertexClient) -> None:
    job = here.create(here.put("in.jsonl", [generate_line("Hello")]))
    for place in ("projects/p2/locations/us-central1", "projects/p1/locations/europe-west4"):
        assert here.call("GET", f"{place}/batchPredictionJobs") == {}
        elsewhere = job["name"].replace(PLACE, place)
        assert here.refused("GET", elsewhere)["status"] == "NOT_FOUND"
        assert here.refused("DELETE", elsewhere)["status"] == "NOT_FOUND"


def test_only_a_job_that_has_ended_is_deleted(slow_here: VertexClient, clock: Clock) -> None:
    job = slow_here.create(slow_here.put("in.jsonl", [generate_line("Hello")]))
    for _ in range(2):
        error = slow_here.refused("DELETE", job["name"])
        assert (error["code"], error["status"]) == (400, "FAILED_PRECONDITION")
        clock.advance(61)
    clock.advance(600)
    operation = slow_here.call("DELETE", job["name"])
    assert operation["done"] is True
    assert operation["name"].startswith(f"{PLACE}/operations/")
    assert slow_here.refused("GET", job["name"])["code"] == 404
    assert slow_here.refused("POST", f"{job['name']}:cancel")["code"] == 404
    assert slow_here.call("GET") == {}
    folder = f"gs://{BUCKET}/out/"
    assert len(slow_here.emulator.storage.list(folder)) == 1  # its output stays


def test_both_versions_are_served_and_no_other(here: VertexClient) -> None:
    for version, status in {"v1": 200, "v1beta1": 200, "v1beta": 403}.items():
        url = f"{here.emulator.url}/{version}/{PLACE}/batchPredictionJobs"
        assert here.session.get(url, timeout=60).status_code == status


def test_a_cancel_has_no_body_of_fields(here: VertexClient) -> None:
    job = here.run([generate_line("Hello")])
    error = here.refused("POST", f"{job['name']}:cancel", json={"reason": "x"})
    assert 'Unknown name "reason"' in error["message"]
