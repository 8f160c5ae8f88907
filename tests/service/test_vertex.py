from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from google.oauth2.credentials import Credentials

import batchkit as bk
from batchkit.errors import CapabilityError, CredentialsError, InvalidRequestError, SetupError
from batchkit.service.client import client_for
from batchkit.service.job import JobState
from tests.scripted import Said, Scripted, scripted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLACE = "projects/p1/locations/us-central1"
NAME = f"{PLACE}/batchPredictionJobs/123"
# https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.batchPredictionJobs
JOB: dict[str, Any] = {
    "name": NAME,
    "displayName": "d",
    "model": "publishers/google/models/gemini-3.5-flash",
    "state": "JOB_STATE_PARTIALLY_SUCCEEDED",
    "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://b/in.jsonl"]}},
    "outputConfig": {
        "predictionsFormat": "jsonl",
        "gcsDestination": {"outputUriPrefix": "gs://b/out"},
    },
    "outputInfo": {"gcsOutputDirectory": "gs://b/out/prediction-model-2026-01-06T11:09:11.000000Z"},
    "completionStats": {"successfulCount": "7", "failedCount": "2", "incompleteCount": "-1"},
    "partialFailures": [{"code": 8, "message": "quota", "details": [{"reason": "X"}]}],
    "labels": {"team": "a"},
    "createTime": "2026-01-06T11:09:11.943530657Z",
    "startTime": "2026-01-06T11:10:00Z",
    "endTime": "2026-01-06T11:20:00Z",
    "updateTime": "2026-01-06T11:20:00Z",
}


def vertex(server: Scripted, **options: Any) -> bk.Vertex:
    given = {"project": "p1", "location": "us-central1", "credentials": Credentials("secret-token")}
    return bk.Vertex(**{**given, "base_url": server.url, **options})


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without credentials, and without a word about projects."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_PROJECT",
        "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_VERTEX_BASE_URL",
        "CLOUDSDK_CONFIG",
    ):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_five_calls_are_those_of_the_published_interface() -> None:
    with scripted(Said(body=JOB)) as server:
        batches = vertex(server).batches
        batches.create("gemini-3.5-flash", gcs_uri=["gs://b/in.jsonl"], destination="gs://b/out")
        batches.get(NAME)
        batches.list(page_size=5, page_token="T 2", filter='state="JOB_STATE_RUNNING"')  # noqa: S106
        batches.cancel("123")
        batches.delete("batchPredictionJobs/123")
        calls = [(asked.method, asked.path) for asked in server.asked]
        tokens = {asked.headers["authorization"] for asked in server.asked}
    jobs = f"/v1/{PLACE}/batchPredictionJobs"
    query = "pageSize=5&pageToken=T+2&filter=state%3D%22JOB_STATE_RUNNING%22"
    assert calls == [
        ("POST", jobs),
        ("GET", f"{jobs}/123"),
        ("GET", f"{jobs}?{query}"),
        ("POST", f"{jobs}/123:cancel"),
        ("DELETE", f"{jobs}/123"),
    ]
    assert tokens == {"Bearer secret-token"}


def created(call: Callable[[bk.Batches], Any]) -> dict[str, Any]:
    with scripted(Said(body=JOB)) as server:
        call(vertex(server).batches)
        (asked,) = server.asked
    return json.loads(asked.body)


def test_a_job_reads_objects_and_writes_below_a_prefix() -> None:
    body = created(
        lambda batches: batches.create(
            "gemini-3.5-flash",
            gcs_uri=["gs://b/a.jsonl", "gs://b/more/*.jsonl"],
            destination="gs://b/out",
            display_name="d",
            labels={"team": "a"},
        )
    )
    assert body == {
        "displayName": "d",
        "model": "publishers/google/models/gemini-3.5-flash",
        "inputConfig": {
            "instancesFormat": "jsonl",
            "gcsSource": {"uris": ["gs://b/a.jsonl", "gs://b/more/*.jsonl"]},
        },
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": "gs://b/out"},
        },
        "labels": {"team": "a"},
    }


def test_a_job_reads_a_table_and_writes_where_it_is_told() -> None:
    body = created(
        lambda batches: batches.create(
            "projects/p1/locations/us-central1/models/7",
            bigquery_uri="bq://p1.d.requests",
            destination="bq://p1.d",
        )
    )
    assert body["model"] == "projects/p1/locations/us-central1/models/7"
    assert body["inputConfig"] == {
        "instancesFormat": "bigquery",
        "bigquerySource": {"inputUri": "bq://p1.d.requests"},
    }
    assert body["outputConfig"] == {
        "predictionsFormat": "bigquery",
        "bigqueryDestination": {"outputUri": "bq://p1.d"},
    }
    assert body["displayName"].startswith("batchkit-")


def test_an_embedding_job_is_created_alike() -> None:
    body = created(
        lambda batches: batches.create_embeddings(
            "gemini-embedding-001", gcs_uri="gs://b/in.jsonl", destination="gs://b/out"
        )
    )
    assert body["model"] == "publishers/google/models/gemini-embedding-001"
    assert body["inputConfig"]["gcsSource"] == {"uris": ["gs://b/in.jsonl"]}


def test_a_job_carries_all_that_the_service_says() -> None:
    with scripted(Said(body=JOB)) as server:
        job = vertex(server).batches.get("123")
    assert job.name == NAME
    assert job.id == "123"
    assert job.state is JobState.PARTIALLY_SUCCEEDED
    assert job.is_complete
    assert job.completion_stats == bk.CompletionStats(9, 7, 2)
    assert [str(failure) for failure in job.partial_failures] == ["RESOURCE_EXHAUSTED: quota"]
    assert job.labels == {"team": "a"}
    assert job.source.gcs_uris == ("gs://b/in.jsonl",)
    assert job.destination.gcs_uris == (JOB["outputInfo"]["gcsOutputDirectory"],)


@pytest.mark.parametrize(
    "name", ["", "batches/b1", "1/2", "12?x=y", "a b", f"{PLACE}/other/1", "batchPredictionJobs/"]
)
def test_a_name_that_is_none_is_refused_before_anything_is_sent(name: str) -> None:
    with scripted(Said(body=JOB)) as server:
        batches = vertex(server).batches
        for call in (batches.get, batches.cancel, batches.delete):
            with pytest.raises(InvalidRequestError, match="is no job name"):
                call(name)
        assert server.asked == []


@pytest.mark.parametrize(
    "options, said",
    [
        ({"file_name": "files/x"}, "file_name: Vertex AI reads and writes gs:// objects"),
        ({"inlined_requests": ["x"]}, "inlined_requests: Vertex AI reads and writes gs://"),
        ({"gcs_uri": ["gs://b/i"], "priority": 1}, "priority: the batches of Vertex AI have none"),
        ({"gcs_uri": ["gs://b/i"], "webhook": "https://x"}, "webhook: the batches of Vertex AI"),
    ],
)
def test_what_only_the_developer_api_can_do_is_refused(options: dict[str, Any], said: str) -> None:
    with scripted(Said(body=JOB)) as server:
        with pytest.raises(CapabilityError, match=said):
            vertex(server).batches.create("m", destination="gs://b/out", **options)
        assert server.asked == []


def test_nothing_is_uploaded_for_a_job_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(b"{}\n")
    with scripted(Said(body=JOB)) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        with pytest.raises(CapabilityError, match="priority: the batches of Vertex AI have none"):
            vertex(server).batches.create("m", path=path, destination="gs://bucket/o", priority=1)
        with pytest.raises(CapabilityError, match="labels: the batches of the Developer API"):
            server.client().batches.create("m", path=path, labels={"a": "b"})
        assert server.asked == []


@pytest.mark.parametrize(
    "options, said",
    [
        ({}, "no destination: give destination="),
        ({"destination": "/tmp/x"}, "give gs://bucket/folder, or bq://"),  # noqa: S108
    ],
)
def test_a_job_needs_a_place_for_its_output(options: dict[str, Any], said: str) -> None:
    with scripted(Said(body=JOB)) as server:
        with pytest.raises(SetupError, match=said):
            vertex(server).batches.create("m", gcs_uri=["gs://b/i"], **options)
        assert server.asked == []


def test_options_cannot_be_merged_into_a_table() -> None:
    with scripted(Said(body=JOB)) as server:
        with pytest.raises(CapabilityError, match=r"bq://p\.d\.t is a table already"):
            vertex(server).batches.create(
                "m", bigquery_uri="bq://p.d.t", destination="bq://p.d", system_instruction="x"
            )
        assert server.asked == []


@pytest.mark.parametrize(
    "location, url",
    [
        ("us-central1", "https://us-central1-aiplatform.googleapis.com"),
        ("global", "https://aiplatform.googleapis.com"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com"),
    ],
)
@pytest.mark.usefixtures("bare")
def test_each_location_has_its_host(location: str, url: str) -> None:
    from batchkit.clients import connect_vertex  # noqa: PLC0415

    connection = connect_vertex("p1", location, credentials=Credentials("t"))
    assert connection.transport.base_url == url
    assert connection.place == f"projects/p1/locations/{location}"


def test_project_and_location_come_from_the_environment(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("GOOGLE_CLOUD_PROJECT", "p2")
    bare.setenv("GOOGLE_CLOUD_LOCATION", "europe-west4")
    bare.setenv("GOOGLE_VERTEX_BASE_URL", "http://127.0.0.1:9")
    client = bk.Vertex(credentials=Credentials("secret-token"))
    assert (client.project, client.location) == ("p2", "europe-west4")
    assert repr(client) == "Vertex('projects/p2/locations/europe-west4')"


@pytest.mark.usefixtures("bare")
def test_what_is_missing_is_said() -> None:
    with pytest.raises(SetupError, match=r"no location: pass location="):
        bk.Vertex("p1", credentials=Credentials("t"))
    with pytest.raises(SetupError, match=r"no Google Cloud project: pass project="):
        bk.Vertex(location="us-central1", credentials=Credentials("t"))
    with pytest.raises(CredentialsError, match=r"gcloud auth application-default login"):
        client_for("vertex")


@pytest.mark.parametrize("options", [{"project": "p/../q"}, {"location": "a/b"}])
def test_a_name_that_would_change_the_path_is_refused(options: dict[str, str]) -> None:
    with scripted(Said()) as server, pytest.raises(SetupError, match=r"p/\.\./q|a/b"):
        vertex(server, **options)


def test_a_token_that_cannot_be_refreshed_is_no_service_failure() -> None:
    expired = Credentials(None, refresh_token="secret-refresh")  # noqa: S106
    with scripted(Said(body=JOB)) as server:
        with pytest.raises(CredentialsError, match=r"batches\.get: no usable") as caught:
            vertex(server, credentials=expired).batches.get("1")
        assert server.asked == []
    assert "secret" not in str(caught.value)
