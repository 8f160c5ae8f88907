from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchkit.emulator import Limits, Quirks, serve

from .client import BUCKET, MODEL, VertexClient, generate_line

if TYPE_CHECKING:
    from batchkit.emulator import Clock

GEMINI = "publishers/google/models/gemini-embedding-001"
LEGACY = "publishers/google/models/text-embedding-005"
DOCS = {"request": {"content": {"parts": [{"text": "a"}]}, "embed_content_config": {}}}
INLINE = {"request": {"content": {"parts": [{"text": "a"}]}, "output_dimensionality": 4}}


def texts(lines: list[dict[str, Any]]) -> list[str]:
    return sorted(line["request"]["contents"][0]["parts"][0]["text"] for line in lines)


def failure(client: VertexClient, *uris: str, model: str = MODEL) -> tuple[int, str]:
    job = client.get(client.create(*uris, model=model))
    assert job["state"] == "JOB_STATE_FAILED", job
    assert "outputInfo" not in job
    assert client.emulator.stats()["requests"] == {}
    return job["error"]["code"], job["error"]["message"]


def test_several_objects_and_patterns_are_read_as_one_input(here: VertexClient) -> None:
    here.put("a.jsonl", [generate_line("a")])
    here.put("dir/b.jsonl", [generate_line("b"), b"", b" "])
    here.put("dir/c.jsonl", [generate_line("c")])
    here.put("dir/deep/d.jsonl", [generate_line("not read")])
    here.put("dir/e.txt", [generate_line("not read")])
    job = here.create(f"gs://{BUCKET}/a.jsonl", f"gs://{BUCKET}/dir/*.jsonl")
    assert texts(here.output(job)) == ["a", "b", "c"]


def test_what_is_not_there_fails_the_job(here: VertexClient) -> None:
    uri = f"gs://{BUCKET}/missing.jsonl"
    code, said = failure(here, uri)
    assert (code, uri in said) == (5, True)
    code, said = failure(here, "gs://no-such-bucket/in.jsonl")
    assert (code, "The specified bucket does not exist." in said) == (5, True)
    assert failure(here, f"gs://{BUCKET}/*.jsonl") == (
        5,
        f"No objects match gs://{BUCKET}/*.jsonl.",
    )


def test_an_output_bucket_that_is_not_there_fails_the_job_unpaid(here: VertexClient) -> None:
    prefix = {"outputUriPrefix": "gs://no-such-bucket/out"}
    output = {"predictionsFormat": "jsonl", "gcsDestination": prefix}
    job = here.get(here.create(here.put("in.jsonl", [generate_line("a")]), outputConfig=output))
    assert job["state"] == "JOB_STATE_FAILED"
    assert "The specified bucket does not exist." in job["error"]["message"]
    assert here.emulator.stats()["requests"] == {}


@pytest.mark.parametrize(
    "line, said",
    [
        (b"{", "line 2: invalid JSON"),
        (b"[]", "line 2: a JSON object with the field request is expected"),
        (b'{"key":"a"}', "line 2: a JSON object with the field request is expected"),
        (b'{"contents":[]}', "line 2: a JSON object with the field request is expected"),
        (b'{"request":"a"}', "line 2: request must be a JSON object"),
    ],
)
def test_a_line_that_is_no_row_fails_the_job(here: VertexClient, line: bytes, said: str) -> None:
    assert said in failure(here, here.put("in.jsonl", [generate_line("a"), line]))[1]


def test_a_file_without_requests_fails_the_job(here: VertexClient) -> None:
    assert failure(here, here.put("in.jsonl", [b""]))[1].startswith("There are no requests")


@pytest.mark.parametrize(
    "model, line, limit",
    [
        (MODEL, generate_line("a"), "vertex_rows"),
        (GEMINI, DOCS, "vertex_embedding_rows"),
        (LEGACY, {"content": "a"}, "vertex_legacy_rows"),
    ],
)
def test_each_kind_of_model_takes_so_many_rows(
    clock: Clock, model: str, line: dict[str, Any], limit: str
) -> None:
    with serve(clock=clock, buckets=[BUCKET], limits=Limits(**{limit: 2})) as emulator:
        client = VertexClient(emulator)
        said = failure(client, client.put("three.jsonl", [line] * 3), model=model)[1]
        assert "exceeds the limit of 2" in said
        job = client.create(client.put("two.jsonl", [line] * 2), model=model)
        assert client.state(job) == "SUCCEEDED"
        client.session.close()


def test_each_object_may_have_so_many_bytes(clock: Clock) -> None:
    with serve(clock=clock, buckets=[BUCKET], limits=Limits(vertex_object_bytes=500)) as emulator:
        client = VertexClient(emulator)
        large = client.put("large.jsonl", [generate_line("a" * 500)])
        assert "is larger than the limit of 500 bytes" in failure(client, large)[1]
        parts = [client.put(f"{number}.jsonl", [generate_line("a" * 300)]) for number in range(2)]
        assert client.state(client.create(*parts)) == "SUCCEEDED"
        client.session.close()


def test_the_limits_are_those_that_are_documented() -> None:
    limits = Limits()
    rows = (limits.vertex_rows, limits.vertex_embedding_rows, limits.vertex_legacy_rows)
    assert rows == (200_000, 1_000_000, 30_000)
    assert limits.vertex_object_bytes == 2**30
    hours = (limits.vertex_pending_seconds / 3600, limits.vertex_running_seconds / 3600)
    assert hours == (72, 24)


@pytest.mark.parametrize(
    "style, taken, refused",
    [
        ("docs", DOCS, INLINE),
        ("inline", INLINE, DOCS),
        ("both", INLINE, None),
        ("both", DOCS, None),
    ],
)
def test_the_options_of_embeddings_may_stand_where_one_says(
    clock: Clock, style: Any, taken: dict[str, Any], refused: dict[str, Any] | None
) -> None:
    quirks = Quirks(embed_config=style)
    with serve(clock=clock, buckets=[BUCKET], quirks=quirks) as emulator:
        client = VertexClient(emulator)
        if refused:
            uri = client.put("refused.jsonl", [refused])
            assert "no such field: " in failure(client, uri, model=GEMINI)[1]
        job = client.create(client.put("taken.jsonl", [taken]), model=GEMINI)
        assert client.get(job)["completionStats"] == {"successfulCount": "1"}
        client.session.close()
