from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from batchkit.emulator import AnswerError, Quirks, echo, serve

from .client import BUCKET, MODEL, VertexClient, generate_line

if TYPE_CHECKING:
    from batchkit.emulator import Clock

GEMINI = "publishers/google/models/gemini-embedding-001"
LEGACY = "publishers/google/models/text-embedding-005"


def embed_line(key: str, text: str, **config: Any) -> dict[str, Any]:
    request = {"content": {"parts": [{"text": text}]}, "embed_content_config": config}
    return {"key": key, "request": request}


def only(client: VertexClient, line: dict[str, Any], model: str = MODEL) -> dict[str, Any]:
    """The output line of a job of one line."""
    (answered,) = client.output(client.run([line], model))
    return answered


# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage
def test_a_line_has_the_documented_fields(here: VertexClient) -> None:
    sent = generate_line("Hello", generationConfig={"temperature": 0.5}, labels={"a": "b"})
    line = only(here, sent)
    assert list(line) == ["request", "status", "response", "processed_time"]
    assert line["request"] == sent["request"]
    assert line["status"] == ""
    assert line["processed_time"] == "2026-01-06T11:09:11.943+00:00"
    assert line["response"]["candidates"][0]["content"]["parts"] == [{"text": "Echo: Hello"}]


def test_the_documented_failure_is_that_of_the_row_alone(here: VertexClient) -> None:
    wrong = {"request": {"contents": [{"role": "tester", "parts": [{"text": "x"}]}]}}
    job = here.run([generate_line("good"), wrong])
    assert job["state"] == "JOB_STATE_SUCCEEDED"
    assert job["completionStats"] == {"successfulCount": "1", "failedCount": "1"}
    (failed,) = (line for line in here.output(job) if line["status"])
    assert failed["status"] == (
        'Bad Request: {"error": {"code": 400, "message": "Please use a valid role: user, model.", '
        '"status": "INVALID_ARGUMENT"}}'
    )
    assert (failed["request"], failed["response"]) == (wrong["request"], {})


@pytest.mark.parametrize(
    "request_body, said",
    [
        ({"contents": [{"parts": [{"text": "x"}]}]}, "Please use a valid role: user, model."),
        ({}, "contents is not specified"),
        (
            {**generate_line("x")["request"], "thinking_config": {}},
            'Unknown name "thinking_config"',
        ),
        ({**generate_line("x")["request"], "generationConfig": {"temperature": 9}}, "temperature"),
        (
            {
                "contents": [
                    {
                        "role": "user",
                        "parts": [
                            {
                                "fileData": {
                                    "fileUri": "https://generativelanguage.googleapis.com/v1/files/a"
                                }
                            }
                        ],
                    }
                ]
            },
            "Invalid file URI",
        ),
    ],
)
def test_a_request_that_is_refused_fails_its_row(
    here: VertexClient, request_body: dict[str, Any], said: str
) -> None:
    line = only(here, {"request": request_body})
    error = json.loads(line["status"].removeprefix("Bad Request: "))["error"]
    assert (error["code"], said in error["message"]) == (400, True)


def test_files_of_cloud_storage_and_parts_without_a_list_are_taken(here: VertexClient) -> None:
    file = {"fileData": {"fileUri": "gs://cloud-samples-data/a.jpeg", "mimeType": "image/jpeg"}}
    content = {"role": "user", "parts": file}
    assert only(here, {"request": {"contents": [content]}})["status"] == ""
    content = {"role": "user", "parts": {"text": "x"}}
    assert only(here, {"request": {"contents": content}})["status"] == ""


def test_what_an_answerer_refuses_is_a_status_by_its_http_reason(clock: Clock) -> None:
    def busy(kind: Any, model: str, request: dict[str, Any]) -> dict[str, Any]:
        if request["contents"][0]["parts"][0]["text"] == "busy":
            raise AnswerError(8, "Quota.", [{"reason": "x"}])
        return echo(kind, model, request)

    with serve(clock=clock, buckets=[BUCKET], answerer=busy) as emulator:
        client = VertexClient(emulator)
        status = only(client, generate_line("busy"))["status"]
        client.session.close()
    label, _, body = status.partition(": ")
    assert label == "Too Many Requests"
    assert json.loads(body)["error"]["details"] == [{"reason": "x"}]


def test_a_key_of_a_generated_line_comes_back_only_when_asked_for(clock: Clock) -> None:
    for quirks in (Quirks(), Quirks(echoes_key=True)):
        with serve(clock=clock, buckets=[BUCKET], quirks=quirks) as emulator:
            client = VertexClient(emulator)
            line = only(client, {"key": "k1", **generate_line("Hello")})
            assert line.get("key") == ("k1" if quirks.echoes_key else None)
            assert emulator.stats()["requests"] == {"k1": 1}
            client.session.close()


# https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/embeddings/batch-prediction-genai-embeddings
def test_gemini_embeddings_carry_their_keys(here: VertexClient) -> None:
    config = {"output_dimensionality": 8, "title": "t", "task_type": "RETRIEVAL_DOCUMENT"}
    lines = [embed_line(f"id_{number}", f"Hello {number}", **config) for number in range(4)]
    answered = {line["key"]: line for line in here.output(here.run(lines, GEMINI))}
    assert list(answered) != sorted(answered)
    for line in lines:
        found = answered[line["key"]]
        assert found["request"] == line["request"]
        assert found["response"]["tokenCount"] == "2"
        assert len(found["response"]["embedding"]["values"]) == 8


def test_options_in_the_request_itself_mean_the_same(here: VertexClient) -> None:
    docs = embed_line("a", "Hello", output_dimensionality=8)
    inline = {"key": "a", "request": {"content": docs["request"]["content"]}}
    inline["request"]["outputDimensionality"] = 8
    one, other = (only(here, line, GEMINI)["response"] for line in (docs, inline))
    assert one == other


def test_dimensions_may_be_ignored(clock: Clock) -> None:
    with serve(clock=clock, buckets=[BUCKET], quirks=Quirks(ignores_dimensions=True)) as emulator:
        client = VertexClient(emulator)
        line = only(client, embed_line("a", "Hello", output_dimensionality=8), GEMINI)
        assert len(line["response"]["embedding"]["values"]) == 3072
        line = only(client, {"content": "Hello", "outputDimensionality": 8}, LEGACY)
        assert len(line["predictions"][0]["embeddings"]["values"]) == 768
        client.session.close()


# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/embeddings/batch-prediction-genai-embeddings
def test_text_embeddings_have_a_form_of_their_own(here: VertexClient) -> None:
    line = only(here, {"content": "Best recipe for banana bread:", "title": "t"}, LEGACY)
    assert list(line) == ["instance", "predictions", "status"]
    assert line["instance"] == {"content": "Best recipe for banana bread:", "title": "t"}
    (prediction,) = line["predictions"]
    assert prediction["embeddings"]["statistics"] == {"token_count": 8, "truncated": False}
    values = prediction["embeddings"]["values"]
    assert len(values) == 768
    assert np.linalg.norm(values) == pytest.approx(1, abs=1e-5)


def test_a_text_that_is_too_long_is_cut_and_said_to_be(here: VertexClient) -> None:
    (prediction,) = only(here, {"content": "word " * 5000}, LEGACY)["predictions"]
    assert prediction["embeddings"]["statistics"] == {"token_count": 2048, "truncated": True}


@pytest.mark.parametrize("content", ["", None, 7, {"parts": []}])
def test_a_text_that_is_none_fails_its_row(here: VertexClient, content: Any) -> None:
    line = only(here, {"content": content}, LEGACY)
    assert re.match(r"Bad Request: \{.*empty", line["status"])
    assert (line["instance"], line["predictions"]) == ({"content": content}, [])
