from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from batchkit.emulator import AnswerError, echo, serve
from batchkit.emulator.answering import Answering, dumps_answer
from batchkit.emulator.models import known_model

from .client import MODEL, Client, text_request

EMBEDDING = "gemini-embedding-001"


def no_files(_uri: str) -> None:
    return None


def refusal(model: str, request: dict[str, Any]) -> str:
    with pytest.raises(AnswerError) as caught:
        Answering(echo, no_files)(known_model(model), request)
    assert caught.value.code == 3
    return caught.value.message


@pytest.mark.parametrize(
    "config",
    [
        {"temperature": 2.1},
        {"topP": -0.1},
        {"candidateCount": 9},
        {"maxOutputTokens": 0},
        {"maxOutputTokens": 1_000_000},
        {"stopSequences": list("abcdef")},
        {"thinkingConfig": {"thinkingBudget": -2}},
        {"thinkingConfig": {"thinkingBudget": 5, "thinkingLevel": "LOW"}},
        {"responseMimeType": "text/html"},
        {"responseSchema": {"type": "STRING"}, "responseJsonSchema": {"type": "string"}},
    ],
)
def test_a_value_out_of_its_range_is_refused(config: dict[str, Any]) -> None:
    assert "GenerateContentRequest.generation_config." in refusal(
        MODEL, text_request("x", **config)
    )


@pytest.mark.parametrize("dimensions", [0, -1, 3073])
def test_a_vector_cannot_be_of_any_length(dimensions: int) -> None:
    request = {"content": {"parts": [{"text": "x"}]}, "outputDimensionality": dimensions}
    assert "output_dimensionality" in refusal(EMBEDDING, request)


def test_an_empty_text_cannot_be_embedded() -> None:
    request = {"content": {"parts": [{"text": ""}]}}
    assert refusal(EMBEDDING, request) == "EmbedContentRequest.content contains an empty Part."


def test_what_the_model_refuses_fails_the_row_and_not_the_job() -> None:
    with serve() as emulator:
        client = Client(emulator)
        gone = "https://generativelanguage.googleapis.com/v1/files/gone?key=x"
        file_request = text_request("x")
        file_request["contents"][0]["parts"].append({"fileData": {"fileUri": gone}})
        requests = {
            "good": text_request("x"),
            "hot": text_request("x", temperature=9),
            "file": file_request,
            "cache": text_request("x") | {"cachedContent": "cachedContents/nobody"},
        }
        job = client.create_from_lines(
            [{"key": key, "request": request} for key, request in requests.items()]
        )
        codes = {line["key"]: line.get("error", {}).get("code") for line in client.output(job)}
        assert codes == {"good": None, "hot": 3, "file": 7, "cache": 7}
        client.session.close()


def test_a_file_that_lives_and_a_file_elsewhere_can_be_asked_about() -> None:
    with serve() as emulator:
        client = Client(emulator)
        ours = client.upload(b"x")["uri"]
        uris = (
            ours,
            f"{ours}?alt=media#x",
            "https://www.youtube.com/watch?v=x",
            "http://[x",
            "",
            "?",
        )
        for uri in uris:
            request = text_request("x")
            request["contents"][0]["parts"].append({"fileData": {"fileUri": uri}})
            client.call("POST", f"models/{MODEL}:generateContent", json=request)
        client.session.close()


def answered(response: dict[str, Any]) -> bytes:
    def fixed(kind: str, model: str, request: dict[str, Any]) -> dict[str, Any]:
        assert (kind, model, len(request)) == ("embed", EMBEDDING, 1)
        return response

    request = {"content": {"parts": [{"text": "x"}]}}
    return dumps_answer(Answering(fixed, no_files)(known_model(EMBEDDING), request))


def test_numbers_of_a_vector_are_printed_with_the_digits_of_32_bits() -> None:
    values = [-0.03411985188722610, 0.1, 1.0]
    assert answered({"embedding": {"values": values}}) == (
        b'{"embedding":{"values":[-0.034119852,0.1,1.0]}}'
    )
    array = np.array(values)
    assert orjson.loads(answered({"embedding": {"values": array}})) == {
        "embedding": {"values": [-0.034119852, 0.1, 1.0]}
    }


@pytest.mark.parametrize(
    "response", [{}, {"embedding": None}, {"embedding": {}}, {"embedding": {"values": ["a"]}}]
)
def test_an_answer_that_is_no_vector_goes_out_as_it_is(response: dict[str, Any]) -> None:
    assert orjson.loads(answered(response)) == response
