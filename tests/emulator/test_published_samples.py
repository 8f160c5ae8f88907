"""The emulator held to lines that Google and others published: it takes them, and answers alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from batchkit.emulator import serve

from .client import Client

if TYPE_CHECKING:
    from batchkit.emulator import Clock

# https://github.com/google-gemini/cookbook/blob/f1e7e3de/quickstarts/Batch_mode.ipynb, cell 17
COOKBOOK_GENERATE = (
    b'{"key": "request_1", "request": {"contents": [{"parts": [{"text": '
    b'"Explain how AI works in a few words"}]}]}}\n'
    b'{"key": "request_2", "request": {"contents": [{"parts": [{"text": '
    b'"Explain how quantum computing works in a few words"}]}]}}\n'
)
# https://ai.google.dev/gemini-api/docs/batch-api, "Input file"
DOCS_KEYED = (
    b'{"key": "request-1", "request": {"contents": [{"parts": [{"text": "Describe the process of '
    b'photosynthesis."}]}], "generation_config": {"temperature": 0.7}}}\n'
    b'{"key": "request-2", "request": {"contents": [{"parts": [{"text": "What are the main '
    b'ingredients in a Margherita pizza?"}]}]}}\n'
)
# The same page, REST tab: bare requests
DOCS_BARE = (
    b'{"contents": [{"parts": [{"text": "Describe the process of photosynthesis."}]}], '
    b'"generationConfig": {"temperature": 0.7}}\n'
    b'{"contents": [{"parts": [{"text": "What are the main ingredients in a Margherita '
    b'pizza?"}]}]}\n'
)
# https://hexdocs.pm/gemini_ex, the Batches guide
GEMINI_EX_BARE = (
    b'{"contents": [{"parts": [{"text": "Summarize: First document content here"}]}]}\n'
    b'{"contents": [{"parts": [{"text": "Summarize: Second document content here"}]}]}\n'
    b'{"contents": [{"parts": [{"text": "Summarize: Third document content here"}]}]}\n'
)
# https://github.com/google-gemini/cookbook/blob/f1e7e3de/quickstarts/Batch_mode.ipynb, cell 40
COOKBOOK_EMBED = (
    b'{"key": "request_1", "request": {"output_dimensionality": 3, "content": {"parts": [{"text": '
    b'"1"}]}}}\n'
    b'{"key": "request_2", "request": {"output_dimensionality": 4, "content": {"parts": [{"text": '
    b'"2"}]}}}\n'
)
# https://ai.google.dev/gemini-api/docs/batch-api, REST tab of "Inline requests"
DOCS_INLINE_BODY = b"""{
        "batch": {
            "display_name": "my-batch-requests",
            "input_config": {
                "requests": {
                    "requests": [
                        {
                            "request": {"contents": [{"parts": [{"text": "Describe the process of photosynthesis."}]}]},
                            "metadata": {
                                "key": "request-1"
                            }
                        },
                        {
                            "request": {"contents": [{"parts": [{"text": "Describe the process of photosynthesis."}]}]},
                            "metadata": {
                                "key": "request-2"
                            }
                        }
                    ]
                }
            }
        }
    }"""  # noqa: E501 - as published
# Captured on 2026-01-06 by the author of a Delphi wrapper of Gemini, "Batch" guide
OPERATION_CREATED: dict[str, Any] = {
    "name": "batches/leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3",
    "metadata": {
        "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
        "model": "models/gemini-2.5-flash",
        "displayName": "my batch name",
        "inputConfig": {"fileName": "files/frh6ua11nk3o"},
        "createTime": "2026-01-06T11:09:11.943530657Z",
        "updateTime": "2026-01-06T11:09:11.943530657Z",
        "batchStats": {"requestCount": "2", "pendingRequestCount": "2"},
        "state": "BATCH_STATE_PENDING",
        "name": "batches/leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3",
    },
}
OPERATION_SUCCEEDED: dict[str, Any] = {
    "name": "batches/leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3",
    "metadata": {
        "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
        "model": "models/gemini-2.5-flash",
        "displayName": "my batch name",
        "inputConfig": {"fileName": "files/frh6ua11nk3o"},
        "output": {"responsesFile": "files/batch-leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3"},
        "createTime": "2026-01-06T11:09:11.943530657Z",
        "endTime": "2026-01-06T11:10:19.736868930Z",
        "updateTime": "2026-01-06T11:10:19.736868797Z",
        "batchStats": {"requestCount": "2", "successfulRequestCount": "2"},
        "state": "BATCH_STATE_SUCCEEDED",
        "name": "batches/leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3",
    },
    "done": True,
    "response": {
        "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatchOutput",  # noqa: E501 - as published
        "responsesFile": "files/batch-leg9wy9p5df66syjxke2eq4xfjqcwp47ejv3",
    },
}
# https://github.com/google-gemini/cookbook/blob/f1e7e3de/quickstarts/Batch_mode.ipynb, cell 25
GENERATE_OUTPUT: dict[str, Any] = {
    "response": {
        "responseId": "6VFkaIDwEPXVjMcP4-XW6Qo",
        "usageMetadata": {
            "totalTokenCount": 848,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}],
            "thoughtsTokenCount": 829,
            "candidatesTokenCount": 11,
            "promptTokenCount": 8,
        },
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "AI learns patterns from data to make decisions or predictions."}
                    ],
                },
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "modelVersion": "gemini-2.5-flash",
    },
    "key": "request_1",
}
# The same notebook, cell 48
EMBED_OUTPUT = (
    b'{"response":{"tokenCount":"1","embedding":{"values":[-0.034119852,0.0025719088,0.017325249]}}'
    b',"key":"request_1"}'
)
# The same notebook, cell 42, a repr of the SDK's as the REST resource
FILE: dict[str, Any] = {
    "name": "files/t5snrshrqff1",
    "mimeType": "jsonl",
    "sizeBytes": "202",
    "createTime": "2025-09-10T13:37:39.328452Z",
    "expirationTime": "2025-09-12T13:37:39.053649Z",
    "updateTime": "2025-09-10T13:37:39.328452Z",
    "sha256Hash": (
        "NTk3Yjk2ZTVjN2QyYjBkMDFhY2RjODBkZDBiY2Q2NTNkYTA5OWJiMjZkODEwNmIxMmQ4NzBlZGFkZjI4MzdmYw=="
    ),
    "uri": "https://generativelanguage.googleapis.com/v1beta/files/t5snrshrqff1",
    "state": "ACTIVE",
    "source": "UPLOADED",
}


def shape(value: Any) -> Any:
    """A JSON value with its fields' names and types, and without their values and order."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in sorted(value.items())}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


def job_of(client: Client, data: bytes, model: str = "gemini-2.5-flash") -> dict[str, Any]:
    name = client.upload(data)["name"]
    return client.create({"fileName": name}, model=model)


@pytest.mark.parametrize(
    "data, keys",
    [
        (COOKBOOK_GENERATE, {"request_1", "request_2"}),
        (DOCS_KEYED, {"request-1", "request-2"}),
        (DOCS_BARE, {None}),
        (GEMINI_EX_BARE, {None}),
    ],
)
def test_published_generation_files_are_accepted(
    client: Client, data: bytes, keys: set[str | None]
) -> None:
    lines = client.output(job_of(client, data))
    assert {line.get("key") for line in lines} == keys
    assert len(lines) == data.count(b"\n")
    assert all("candidates" in line["response"] for line in lines)


def test_the_published_embedding_file_is_accepted_and_answered_alike(client: Client) -> None:
    job = job_of(client, COOKBOOK_EMBED, "gemini-embedding-001")
    lines = {line["key"]: line for line in client.output(job)}
    assert shape(lines["request_1"]) == shape(json.loads(EMBED_OUTPUT))
    assert lines["request_1"]["response"]["tokenCount"] == "1"
    assert [len(lines[key]["response"]["embedding"]["values"]) for key in sorted(lines)] == [3, 4]


def test_numbers_of_a_vector_are_printed_as_published() -> None:
    value = json.loads(EMBED_OUTPUT)["response"]

    def published(kind: str, model: str, request: dict[str, Any]) -> dict[str, Any]:
        assert (kind, model) == ("embed", "gemini-embedding-001")
        return value if request else {}

    with serve(answerer=published) as emulator:
        own = Client(emulator)
        job = job_of(own, COOKBOOK_EMBED.split(b"\n")[0], "gemini-embedding-001")
        name = own.get(job)["response"]["responsesFile"]
        reply = own.send("GET", f"/download/v1beta/{name}:download?alt=media")
        assert reply.content == EMBED_OUTPUT + b"\n"
        own.session.close()


def test_the_published_inline_body_is_accepted(client: Client) -> None:
    reply = client.send(
        "POST", "/v1beta/models/gemini-2.5-flash:batchGenerateContent", data=DOCS_INLINE_BODY
    )
    assert reply.status_code == 200, reply.text
    answers = client.get(reply.json())["response"]["inlinedResponses"]["inlinedResponses"]
    assert {answer["metadata"]["key"] for answer in answers} == {"request-1", "request-2"}


def test_operations_have_the_captured_shape(slow_client: Client, clock: Clock) -> None:
    created = job_of(slow_client, COOKBOOK_GENERATE)
    assert shape(created) == shape(OPERATION_CREATED)
    assert created["metadata"]["@type"] == OPERATION_CREATED["metadata"]["@type"]
    clock.advance(3600)
    succeeded = slow_client.get(created)
    assert shape(succeeded) == shape(OPERATION_SUCCEEDED)
    assert succeeded["response"]["@type"] == OPERATION_SUCCEEDED["response"]["@type"]
    assert len(succeeded["name"]) == len(OPERATION_SUCCEEDED["name"])
    assert len(succeeded["response"]["responsesFile"]) == len(
        OPERATION_SUCCEEDED["response"]["responsesFile"]
    )


def test_a_generated_answer_has_the_captured_shape(client: Client) -> None:
    for line in client.output(job_of(client, COOKBOOK_GENERATE)):
        assert shape(line) == shape(GENERATE_OUTPUT)
        assert list(line) == list(GENERATE_OUTPUT)


def test_a_file_has_the_captured_shape(client: Client) -> None:
    file = client.upload(COOKBOOK_EMBED)
    assert shape(file) == shape(FILE)
    assert file["sizeBytes"] == FILE["sizeBytes"]
    assert file["sha256Hash"] == FILE["sha256Hash"]
