"""google-genai, unmodified, as an independent witness that the emulator is faithful."""

from __future__ import annotations

import asyncio
import io
import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from google import genai
from google.genai import errors, types

from batchkit.emulator import serve

from .client import MODEL, generate_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchkit.emulator import Clock, Emulator

EMBEDDING = "gemini-embedding-001"


@pytest.fixture(params=["v1", "v1beta"])
def sdk(emulator: Emulator, request: pytest.FixtureRequest) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=emulator.url, api_version=request.param)
    with genai.Client(api_key=emulator.api_key, http_options=options) as client:
        yield client


def lines_file(lines: list[dict[str, Any]]) -> io.BytesIO:
    return io.BytesIO(b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def upload(sdk: genai.Client, lines: list[dict[str, Any]]) -> types.File:
    config = types.UploadFileConfig(mime_type="jsonl", display_name="requests")
    return sdk.files.upload(file=lines_file(lines), config=config)


def uploaded(sdk: genai.Client, lines: list[dict[str, Any]]) -> str:
    """The name of a new file."""
    return upload(sdk, lines).name or ""


def inline(text: str, key: str) -> types.InlinedRequest:
    return types.InlinedRequest(
        contents=text,
        metadata={"key": key},
        config=types.GenerateContentConfig(
            temperature=0.5, system_instruction="Be brief.", response_mime_type="application/json"
        ),
    )


def test_a_file_job_from_upload_to_download(sdk: genai.Client) -> None:
    file = upload(sdk, [generate_line("a"), generate_line("b")])
    assert file.state == types.FileState.ACTIVE
    job = sdk.batches.create(
        model=MODEL, src=file.name or "", config=types.CreateBatchJobConfig(display_name="genai")
    )
    assert job.state == types.JobState.JOB_STATE_PENDING
    assert job.name
    job = sdk.batches.get(name=job.name)
    assert job.state == types.JobState.JOB_STATE_SUCCEEDED
    assert job.display_name == "genai"
    assert job.dest
    assert job.dest.file_name
    content = sdk.files.download(file=job.dest.file_name)
    lines = [json.loads(line) for line in content.split(b"\n") if line]
    assert {line["key"] for line in lines} == {"a", "b"}


def test_an_upload_of_several_chunks_arrives_whole(sdk: genai.Client) -> None:
    data = b"0123456789abcdef" * (20 * 1024 * 64)  # 20 MiB: three chunks of at most 8 MiB
    file = sdk.files.upload(
        file=io.BytesIO(data), config=types.UploadFileConfig(mime_type="text/plain")
    )
    assert file.size_bytes == len(data)


def test_an_inline_job_brings_its_responses(sdk: genai.Client) -> None:
    job = sdk.batches.create(model=MODEL, src=[inline("Hello", "a"), inline("World", "b")])
    assert job.name
    job = sdk.batches.get(name=job.name)
    assert job.dest
    responses = job.dest.inlined_responses
    assert responses
    assert {each.metadata["key"] for each in responses if each.metadata} == {"a", "b"}
    for each in responses:
        assert each.response
        assert json.loads(each.response.text or "")


def test_embedding_jobs_inline_and_by_file(sdk: genai.Client) -> None:
    line = {
        "key": "a",
        "request": {"content": {"parts": [{"text": "x"}]}, "output_dimensionality": 4},
    }
    file = upload(sdk, [line])
    contents = types.EmbedContentBatch(
        contents=["one", "two"], config=types.EmbedContentConfig(output_dimensionality=8)
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=errors.ExperimentalWarning)
        inline_job = sdk.batches.create_embeddings(
            model=EMBEDDING, src=types.EmbeddingsBatchJobSource(inlined_requests=contents)
        )
        file_job = sdk.batches.create_embeddings(
            model=EMBEDDING, src=types.EmbeddingsBatchJobSource(file_name=file.name)
        )
    assert inline_job.name
    assert file_job.name
    inline_job, file_job = (
        sdk.batches.get(name=inline_job.name),
        sdk.batches.get(name=file_job.name),
    )
    assert inline_job.dest
    responses = inline_job.dest.inlined_embed_content_responses
    assert responses
    for each in responses:
        assert each.response
        assert each.response.embedding
        assert len(each.response.embedding.values or []) == 8
    assert file_job.dest
    assert file_job.dest.file_name
    answer = json.loads(sdk.files.download(file=file_job.dest.file_name))
    assert len(answer["response"]["embedding"]["values"]) == 4


def test_jobs_are_listed_over_three_pages(sdk: genai.Client) -> None:
    names = [sdk.batches.create(model=MODEL, src=[inline("x", "a")]).name for _ in range(5)][::-1]
    pager = sdk.batches.list(config=types.ListBatchJobsConfig(page_size=2))
    pages = [[job.name for job in pager.page]]
    while pager.config.get("page_token"):
        pages.append([job.name for job in pager.next_page()])
    assert pages == [names[:2], names[2:4], names[4:]]
    assert [job.name for job in sdk.batches.list(config={"page_size": 2})] == names


def test_jobs_are_cancelled_and_deleted(clock: Clock) -> None:
    with serve(clock=clock, job_seconds=600) as emulator:
        options = types.HttpOptions(base_url=emulator.url)
        with genai.Client(api_key=emulator.api_key, http_options=options) as sdk:
            job = sdk.batches.create(model=MODEL, src=[inline("x", "a")])
            assert job.name
            sdk.batches.cancel(name=job.name)
            assert sdk.batches.get(name=job.name).state == types.JobState.JOB_STATE_CANCELLED
            sdk.batches.delete(name=job.name)
            with pytest.raises(errors.ClientError) as caught:
                sdk.batches.get(name=job.name)
            assert caught.value.code == 404


def test_a_file_on_disk_goes_up_and_the_answers_come_down_to_one(
    sdk: genai.Client, tmp_path: Path
) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(lines_file([generate_line("a")]).getvalue())
    file = sdk.files.upload(file=path, config={"mime_type": "application/jsonl"})
    job = sdk.batches.create(model=MODEL, src=file.name or "")
    dest = sdk.batches.get(name=job.name or "").dest
    assert dest
    sdk.files.download(file=dest.file_name or "", destination=str(tmp_path / "answers"))
    assert json.loads((tmp_path / "answers").read_bytes())["key"] == "a"


async def journey(sdk: genai.Client) -> None:
    """All that is done with batches, through the asynchronous client."""
    config = types.UploadFileConfig(mime_type="jsonl")
    file = await sdk.aio.files.upload(file=lines_file([generate_line("a")]), config=config)
    by_file = await sdk.aio.batches.create(model=MODEL, src=file.name or "")
    by_file = await sdk.aio.batches.get(name=by_file.name or "")
    assert by_file.dest
    content = await sdk.aio.files.download(file=by_file.dest.file_name or "")
    assert json.loads(content)["key"] == "a"

    in_line = await sdk.aio.batches.create(model=MODEL, src=[inline("Hello", "b")])
    in_line = await sdk.aio.batches.get(name=in_line.name or "")
    assert in_line.dest
    (answer,) = in_line.dest.inlined_responses or []
    assert answer.metadata == {"key": "b"}

    contents = types.EmbedContentBatch(
        contents=["one", "two"], config=types.EmbedContentConfig(output_dimensionality=8)
    )
    source = types.EmbeddingsBatchJobSource(inlined_requests=contents)
    vectors = await sdk.aio.batches.create_embeddings(model=EMBEDDING, src=source)
    vectors = await sdk.aio.batches.get(name=vectors.name or "")
    assert vectors.dest
    assert len(vectors.dest.inlined_embed_content_responses or []) == 2

    pager = await sdk.aio.batches.list(config=types.ListBatchJobsConfig(page_size=1))
    names = [job.name async for job in pager]
    assert names == [vectors.name, in_line.name, by_file.name]

    await sdk.aio.batches.cancel(name=in_line.name or "")
    for name in names:
        await sdk.aio.batches.delete(name=name or "")
    assert [job async for job in await sdk.aio.batches.list()] == []
    await sdk.aio.aclose()


@pytest.mark.filterwarnings("ignore::google.genai.errors.ExperimentalWarning")
# What aiohttp says of how google-genai uses it, where gcsfs has brought it along.
@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
def test_the_asynchronous_client_does_all_of_it_too(sdk: genai.Client) -> None:
    asyncio.run(journey(sdk))


def test_files_are_got_listed_and_deleted(sdk: genai.Client) -> None:
    names = [upload(sdk, [generate_line("a")]).name for _ in range(3)]
    assert [file.name for file in sdk.files.list()] == names[::-1]
    assert names[0]
    assert sdk.files.get(name=names[0]).display_name == "requests"
    sdk.files.delete(name=names[0])
    with pytest.raises(errors.ClientError) as caught:
        sdk.files.get(name=names[0])
    assert (caught.value.code, caught.value.status) == (403, "PERMISSION_DENIED")


def test_the_output_file_cannot_be_got_as_reported(sdk: genai.Client) -> None:
    job = sdk.batches.create(model=MODEL, src=uploaded(sdk, [generate_line("a")]))
    assert job.name
    dest = sdk.batches.get(name=job.name).dest
    assert dest
    assert dest.file_name
    with pytest.raises(errors.ClientError, match="cannot be more than 40 characters"):
        sdk.files.get(name=dest.file_name)


def test_interactive_calls_and_models(sdk: genai.Client) -> None:
    answer = sdk.models.generate_content(
        model=MODEL,
        contents="Why is the sky blue?",
        config=types.GenerateContentConfig(
            thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=10)
        ),
    )
    assert answer.text == "Echo: Why is the sky blue?"
    assert answer.usage_metadata
    assert answer.usage_metadata.thoughts_token_count == 10
    counted = sdk.models.count_tokens(model=MODEL, contents="four")
    assert counted.total_tokens == 1
    embedded = sdk.models.embed_content(model=EMBEDDING, contents=["a", "b"])
    assert embedded.embeddings
    assert [len(each.values or []) for each in embedded.embeddings] == [3072, 3072]
    model = sdk.models.get(model=MODEL)
    assert model.input_token_limit == 1_048_576
    assert MODEL in {(each.name or "").removeprefix("models/") for each in sdk.models.list()}


def test_a_schema_is_answered_with_a_parsed_value(sdk: genai.Client) -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"mood": {"type": "STRING", "enum": ["good", "bad"]}},
        "required": ["mood"],
    }
    answer = sdk.models.generate_content(
        model=MODEL,
        contents="x",
        config=types.GenerateContentConfig(
            response_mime_type="application/json", response_schema=schema
        ),
    )
    assert isinstance(answer.parsed, dict)
    assert answer.parsed["mood"] in {"good", "bad"}


def test_the_environment_alone_points_it_here(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "somebody-elses")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    with genai.Client() as sdk:
        job = sdk.batches.create(model=MODEL, src=uploaded(sdk, [generate_line("a")]))
        assert job.name
        assert sdk.batches.get(name=job.name).state == types.JobState.JOB_STATE_SUCCEEDED
