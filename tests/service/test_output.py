from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchkit.errors import AmbiguousJobError, NoOutputError
from batchkit.service.job_json import read_job
from batchkit.service.output import write_output

if TYPE_CHECKING:
    from pathlib import Path

    import batchkit as bk
    from tests.conftest import VertexService

MODEL = "gemini-3.8-flash"
LINE = b'{"request":{"contents":[{"role":"user","parts":[{"text":"%s"}]}]}}\n'


def put(vertex: VertexService, name: str, content: bytes) -> str:
    with vertex.emulator.storage.create(vertex.uri(name)) as stream:
        stream.write(content)
    return vertex.uri(name)


def ended(vertex: VertexService, uri: str) -> bk.BatchJob:
    """A job that writes below the same folder as all others."""
    batches = vertex.client.batches
    job = batches.create(MODEL, gcs_uri=uri, destination=vertex.uri("out"))
    return batches.wait(job, poll_interval=0.01)


def told(vertex: VertexService, job: bk.BatchJob) -> list[str | None]:
    return [response.text for response in vertex.client.batches.get_responses(job)]


def test_each_job_has_its_own_output_below_a_folder_of_several(vertex: VertexService) -> None:
    uris = [put(vertex, f"{text}.jsonl", LINE % text.encode()) for text in ("one", "two")]
    jobs = [ended(vertex, uri) for uri in uris]
    assert [told(vertex, job) for job in jobs] == [["Echo: one"], ["Echo: two"]]


def test_a_job_that_failed_has_not_the_output_of_those_before_and_after(
    vertex: VertexService,
) -> None:
    uri = put(vertex, "in.jsonl", LINE % b"hello")
    ended(vertex, uri)
    vertex.emulator.clock.advance(60)
    failed = ended(vertex, vertex.uri("missing.jsonl"))
    vertex.emulator.clock.advance(60)
    ended(vertex, uri)
    assert failed.failed
    with pytest.raises(NoOutputError, match="is failed and has no output"):
        told(vertex, failed)


def silent(vertex: VertexService, tmp_path: Path, *folders: str) -> bytes:
    """What is read of a job from 11:00 to 12:00 that failed without a word on its output."""
    for folder in folders:
        put(vertex, f"out/{folder}/predictions.jsonl", folder.encode())
    job: dict[str, Any] = {
        "name": "projects/p/locations/l/batchPredictionJobs/1",
        "state": "JOB_STATE_FAILED",
        "outputConfig": {"gcsDestination": {"outputUriPrefix": vertex.uri("out")}},
        "createTime": "2026-01-06T11:00:00.123456789Z",
        "endTime": "2026-01-06T12:00:00.123456789Z",
    }
    path = tmp_path / "out.jsonl"
    found = write_output(read_job(job), path, cloud=vertex.client.cloud)
    return path.read_bytes() if found else b""


@pytest.mark.parametrize("place", ["bq://project", "bq://project.dataset"])
def test_a_job_that_never_named_its_table_has_no_output(
    tmp_path: Path, vertex: VertexService, place: str
) -> None:
    job: dict[str, Any] = {
        "name": "projects/p/locations/l/batchPredictionJobs/1",
        "state": "JOB_STATE_FAILED",
        "outputConfig": {"bigqueryDestination": {"outputUri": place}},
    }
    assert not write_output(read_job(job), tmp_path / "out.jsonl", cloud=vertex.client.cloud)


BEFORE, DURING, LATER, AFTER = (
    f"prediction-model-2026-01-06T{time}.123456Z"
    for time in ("10:59:00", "11:00:00", "11:59:00", "12:01:00")
)


@pytest.mark.parametrize(
    "folders, read",
    [
        ((), ""),
        ((BEFORE, DURING, AFTER), DURING),
        ((LATER, AFTER), LATER),
        ((BEFORE, AFTER, "other"), ""),
        (("prediction-of-another-form",), "prediction-of-another-form"),
    ],
)
def test_a_job_that_does_not_say_where_it_wrote_has_what_was_made_while_it_was_there(
    tmp_path: Path, vertex: VertexService, folders: tuple[str, ...], read: str
) -> None:
    assert silent(vertex, tmp_path, *folders).decode().rstrip("\n") == read


def test_of_several_outputs_that_may_be_its_own_none_is_guessed(
    tmp_path: Path, vertex: VertexService
) -> None:
    with pytest.raises(AmbiguousJobError, match=r"2 jobs wrote below .* a destination of its own"):
        silent(vertex, tmp_path, BEFORE, DURING, LATER)
