"""Google's own SDK, unmodified, in Vertex mode with the emulator's credentials from a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from google import genai
from google.genai import errors, types

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import VertexService

MODEL = "gemini-3.5-flash"
STARTED: dict[str, Any] = {"project": "emulator-project", "location": "us-central1"}


@pytest.fixture
def client(vertex: VertexService) -> Iterator[genai.Client]:
    """It takes its credentials and its address from the environment."""
    assert vertex.emulator.url
    with genai.Client(vertexai=True, **STARTED) as client:
        yield client


def put(vertex: VertexService, *texts: str) -> str:
    contents = [[{"role": "user", "parts": [{"text": text}]}] for text in texts]
    with vertex.emulator.storage.create(vertex.uri("in.jsonl")) as stream:
        for each in contents:
            stream.write(json.dumps({"request": {"contents": each}}).encode() + b"\n")
    return vertex.uri("in.jsonl")


def created(client: genai.Client, vertex: VertexService, name: str = "mine") -> types.BatchJob:
    config = types.CreateBatchJobConfig(display_name=name, dest=vertex.uri("out"))
    return client.batches.create(model=MODEL, src=put(vertex, "a", "b"), config=config)


def named(job: types.BatchJob) -> str:
    assert job.name is not None
    return job.name


def test_a_job_is_created_and_got(client: genai.Client, vertex: VertexService) -> None:
    job = client.batches.get(name=named(created(client, vertex)))
    assert job.state == types.JobState.JOB_STATE_SUCCEEDED
    assert job.done
    assert job.display_name == "mine"
    assert job.model == f"publishers/google/models/{MODEL}"
    assert job.completion_stats is not None
    assert job.completion_stats.successful_count == 2
    assert job.output_info is not None
    folder = job.output_info.gcs_output_directory
    with vertex.emulator.storage.open(f"{folder}/predictions.jsonl") as stream:
        assert len(stream.readlines()) == 2


def test_a_destination_of_the_sdks_own_is_taken(
    client: genai.Client, vertex: VertexService
) -> None:
    job = client.batches.create(model=MODEL, src=put(vertex, "a"))
    assert job.dest is not None
    assert job.dest.gcs_uri == vertex.uri("in/dest")
    assert client.batches.get(name=named(job)).done


def test_jobs_are_listed_by_filter_and_page(client: genai.Client, vertex: VertexService) -> None:
    mine = [named(created(client, vertex)) for _ in range(3)]
    created(client, vertex, "other")
    config = types.ListBatchJobsConfig(page_size=2, filter='display_name="mine"')
    assert [job.name for job in client.batches.list(config=config)] == mine[::-1]
    config = types.ListBatchJobsConfig(filter='state="JOB_STATE_RUNNING"')
    assert list(client.batches.list(config=config)) == []


def test_a_job_is_cancelled_and_deleted(client: genai.Client, vertex: VertexService) -> None:
    name = named(created(client, vertex))
    client.batches.cancel(name=name)
    deleted = client.batches.delete(name=name)
    assert deleted.done
    assert deleted.error is None
    with pytest.raises(errors.ClientError) as caught:
        client.batches.get(name=name)
    assert caught.value.code == 404


def test_a_failure_is_read(client: genai.Client, vertex: VertexService) -> None:
    config = types.CreateBatchJobConfig(dest=vertex.uri("out"))
    job = client.batches.create(model=MODEL, src=vertex.uri("missing.jsonl"), config=config)
    job = client.batches.get(name=named(job))
    assert job.state == types.JobState.JOB_STATE_FAILED
    assert job.error is not None
    assert job.error.code == 5


def test_a_refusal_is_googles(client: genai.Client, vertex: VertexService) -> None:
    config = types.CreateBatchJobConfig(dest=vertex.uri("out"))
    with pytest.raises(errors.ClientError, match="Do not support publisher model") as caught:
        client.batches.create(model="gemini-0", src=put(vertex, "a"), config=config)
    assert caught.value.code == 400
