from __future__ import annotations

import pytest

from batchkit.clients import connect
from batchkit.errors import CapabilityError, InvalidRequestError
from batchkit.service.gemini import GeminiBatches
from batchkit.service.job import JobPlace, JobState
from batchkit.service.new_job import NewJob
from tests.scripted import Said, Scripted, scripted

JOB = Said(body={"name": "batches/b1", "metadata": {"state": "BATCH_STATE_RUNNING"}})


def batches_of(server: Scripted, version: str = "v1beta") -> GeminiBatches:
    return GeminiBatches(connect("key", base_url=server.url).transport, version)


def test_the_five_calls_are_those_of_the_published_interface() -> None:
    """https://ai.google.dev/api/batch-api."""
    with scripted(JOB) as server:
        batches = batches_of(server)
        source = JobPlace(file_name="files/f1")
        job = batches.create(NewJob("generate", "m", source, "d"))
        assert job.state is JobState.RUNNING
        assert batches.create(NewJob("embed", "m", source, "d", priority=-2)).name == "batches/b1"
        assert batches.get("batches/b1").name == "batches/b1"
        assert len(batches.list(None, None, None)) == 0
        batches.cancel("b1")
        batches.delete("batches/b1")
        calls = [(asked.method, asked.path, asked.body) for asked in server.asked]
    assert calls == [
        (
            "POST",
            "/v1beta/models/m:batchGenerateContent",
            b'{"batch":{"displayName":"d","inputConfig":{"fileName":"files/f1"}}}',
        ),
        (
            "POST",
            "/v1beta/models/m:asyncBatchEmbedContent",
            b'{"batch":{"displayName":"d","inputConfig":{"fileName":"files/f1"},"priority":"-2"}}',
        ),
        ("GET", "/v1beta/batches/b1", b""),
        ("GET", "/v1beta/batches", b""),
        ("POST", "/v1beta/batches/b1:cancel", b"{}"),
        ("DELETE", "/v1beta/batches/b1", b""),
    ]


def test_a_page_is_asked_for_by_size_and_token() -> None:
    with scripted(Said()) as server:
        batches = batches_of(server, "v1")
        batches.list(5, None, None)
        batches.list(None, "a b&c", "")
        assert [asked.path for asked in server.asked] == [
            "/v1/batches?pageSize=5",
            "/v1/batches?pageToken=a+b%26c",
        ]


def test_a_filter_is_not_sent() -> None:
    with scripted(Said()) as server:
        with pytest.raises(CapabilityError, match="list all and choose"):
            batches_of(server).list(None, None, "displayName=x")
        assert server.asked == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "batches/",
        "batches/a/b",
        "batchPredictionJobs/7",
        "projects/p/locations/l/batchPredictionJobs/7",
        "files/abc",
        "..",
        "batches/..",
        "a b",
        "b1:cancel",
        "b1?x=y",
        "b1#x",
        "b1\n",
    ],
)
def test_a_name_that_is_none_is_refused_before_anything_is_sent(name: str) -> None:
    with scripted(Said()) as server:
        batches = batches_of(server)
        for call in (batches.get, batches.cancel, batches.delete):
            with pytest.raises(InvalidRequestError) as caught:
                call(name)
            assert f"{name!r} is no job name: it looks like batches/abc123" in str(caught.value)
        assert server.asked == []


def test_inline_requests_are_nested_twice() -> None:
    items = ({"request": {"contents": []}, "metadata": {"key": "a"}}, {"request": {"contents": []}})
    with scripted(JOB) as server:
        batches_of(server).create(NewJob("generate", "m", JobPlace(inlined=items), "d"))
        (asked,) = server.asked
    assert asked.json()["batch"]["inputConfig"] == {"requests": {"requests": list(items)}}
