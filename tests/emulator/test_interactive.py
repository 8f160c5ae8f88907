from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchkit.emulator import AnswerError, serve

from .client import MODEL, Client, text_request

if TYPE_CHECKING:
    from batchkit.emulator import Clock, Emulator

EMBEDDING = "gemini-embedding-001"


def embed_request(text: str, **fields: Any) -> dict[str, Any]:
    return {"content": {"parts": [{"text": text}]}, **fields}


def test_generate_content_answers_at_once(emulator: Emulator, client: Client) -> None:
    reply = client.call("POST", f"models/{MODEL}:generateContent", json=text_request("Hello there"))
    assert reply["candidates"][0]["content"]["parts"] == [{"text": "Echo: Hello there"}]
    stats = emulator.stats()
    assert stats["calls"] == {"generateContent": 1}
    assert stats["requests"] == {}


def test_embed_content_has_a_vector_and_its_usage(client: Client) -> None:
    body = embed_request("Hello", outputDimensionality=4, taskType="SEMANTIC_SIMILARITY")
    reply = client.call("POST", f"models/{EMBEDDING}:embedContent", json=body)
    assert len(reply["embedding"]["values"]) == 4
    assert reply["usageMetadata"] == {"promptTokenCount": 2}
    assert "tokenCount" not in reply


def test_batch_embed_contents_has_a_vector_each(emulator: Emulator, client: Client) -> None:
    requests = [
        {"model": f"models/{EMBEDDING}", **embed_request(text, outputDimensionality=8)}
        for text in ("a", "b")
    ]
    reply = client.call(
        "POST", f"models/{EMBEDDING}:batchEmbedContents", json={"requests": requests}
    )
    assert [len(each["values"]) for each in reply["embeddings"]] == [8, 8]
    assert emulator.stats()["calls"] == {"batchEmbedContents": 1}
    error = client.refused("POST", f"models/{EMBEDDING}:batchEmbedContents", json={"requests": []})
    assert error["code"] == 400


def test_tokens_are_counted_as_the_answer_counts_them(client: Client) -> None:
    request = text_request("Count these words, please.") | {
        "systemInstruction": {"parts": [{"text": "Be brief."}]}
    }
    answer = client.call("POST", f"models/{MODEL}:generateContent", json=request)
    counted = client.call(
        "POST", f"models/{MODEL}:countTokens", json={"generateContentRequest": request}
    )
    assert counted["totalTokens"] == answer["usageMetadata"]["promptTokenCount"]
    contents = {"contents": request["contents"]}
    assert client.call("POST", f"models/{MODEL}:countTokens", json=contents)["totalTokens"] == 7
    assert client.refused("POST", f"models/{MODEL}:countTokens", json={})["code"] == 400


@pytest.mark.parametrize("code, status", [(8, 429), (13, 500), (14, 503), (429, 429), (7, 403)])
def test_an_answerers_refusal_is_the_calls_status(clock: Clock, code: int, status: int) -> None:
    def refusing(kind: str, model: str, request: dict[str, Any]) -> dict[str, Any]:
        raise AnswerError(code, "no", [{"why": kind + model + str(len(request))}])

    with serve(clock=clock, answerer=refusing) as emulator:
        client = Client(emulator)
        error = client.refused("POST", f"models/{MODEL}:generateContent", json=text_request("x"))
        assert (error["code"], error["message"]) == (status, "no")
        assert error["details"]
        assert emulator.stats()["calls"] == {}
        client.session.close()


@pytest.mark.parametrize(
    "model, method",
    [
        (MODEL, "embedContent"),
        (MODEL, "batchEmbedContents"),
        (EMBEDDING, "generateContent"),
        ("gemini-2.0-flash", "generateContent"),
    ],
)
def test_a_model_without_the_method_is_not_found(client: Client, model: str, method: str) -> None:
    assert client.refused("POST", f"models/{model}:{method}", json={})["code"] == 404


def test_a_request_the_service_does_not_know_is_refused(client: Client) -> None:
    body = text_request("x") | {"prompt": "x"}
    error = client.refused("POST", f"models/{MODEL}:generateContent", json=body)
    assert 'Unknown name "prompt"' in error["message"]
