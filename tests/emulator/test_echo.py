from __future__ import annotations

import json
from typing import Any

import pytest

from batchkit.emulator import AnswerError, echo

from .client import MODEL, text_request

PLAIN = "gemini-3.5-flash-lite"  # does not think unasked


def answer(text: str, *, model: str = PLAIN, **config: Any) -> dict[str, Any]:
    return echo("generate", model, text_request(text, **config))


def first(response: dict[str, Any]) -> dict[str, Any]:
    return response["candidates"][0]


def text_of(response: dict[str, Any]) -> str:
    parts = first(response)["content"].get("parts", [])
    return "".join(part["text"] for part in parts if not part.get("thought"))


def test_an_answer_begins_with_the_prompts_opening_words() -> None:
    assert text_of(answer("Why is the sky blue?")) == "Echo: Why is the sky blue?"


def test_a_long_prompt_is_cut_after_a_word_and_put_on_one_line() -> None:
    text = text_of(answer("one two\n three\t" + "elephants " * 50))
    assert text.startswith("Echo: one two three elephants")
    assert text.endswith("elephants…")
    assert len(text) < 100


def test_a_prompt_without_spaces_is_cut_anyway() -> None:
    assert len(text_of(answer("光" * 1000))) < 100


def test_the_last_text_of_the_user_is_answered() -> None:
    turns = [("user", "first"), ("model", "reply"), ("user", "second"), ("model", "prefill")]
    contents = [{"role": role, "parts": [{"text": text}]} for role, text in turns]
    assert text_of(echo("generate", PLAIN, {"contents": contents})) == "Echo: second"


def test_a_request_without_text_is_answered_too() -> None:
    request = {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": ""}}]}]}
    response = echo("generate", PLAIN, request)
    assert text_of(response) == "Echo: no text"
    assert response["usageMetadata"]["promptTokenCount"] == 258


def test_answers_are_the_same_every_time_and_differ_between_requests() -> None:
    assert answer("a") == answer("a")
    assert answer("a")["responseId"] != answer("b")["responseId"]


def test_the_response_has_the_shape_of_the_service() -> None:
    response = answer("Explain how AI works in a few words", model=MODEL)
    usage = response["usageMetadata"]
    assert first(response)["finishReason"] == "STOP"
    assert first(response)["index"] == 0
    assert response["modelVersion"] == MODEL
    assert usage == {
        "promptTokenCount": 9,
        "candidatesTokenCount": 11,
        "thoughtsTokenCount": 32,
        "totalTokenCount": 52,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
    }


def test_candidates_have_an_index_and_differ() -> None:
    candidates = answer("x", candidateCount=3)["candidates"]
    assert [candidate["index"] for candidate in candidates] == [0, 1, 2]
    assert len({candidate["content"]["parts"][0]["text"] for candidate in candidates}) == 3


def test_too_few_output_tokens_cut_the_text() -> None:
    response = answer("Why is the sky blue?", maxOutputTokens=3)
    assert text_of(response) == "Echo: Why is"
    assert first(response)["finishReason"] == "MAX_TOKENS"
    assert response["usageMetadata"]["candidatesTokenCount"] == 3
    assert first(answer("x", maxOutputTokens=100))["finishReason"] == "STOP"


def test_cutting_never_splits_a_character() -> None:
    assert text_of(answer("光光光光光光", maxOutputTokens=3)) == "Echo: 光光"


def test_a_thinking_budget_is_used_up_and_counts_against_the_limit() -> None:
    config = {"thinkingConfig": {"thinkingBudget": 100}, "maxOutputTokens": 102}
    response = answer("Why is the sky blue?", **config)
    assert response["usageMetadata"]["thoughtsTokenCount"] == 100
    assert text_of(response) == "Echo: Wh"
    response = answer("Why?", **(config | {"maxOutputTokens": 50}))
    assert first(response)["finishReason"] == "MAX_TOKENS"
    assert "parts" not in first(response)["content"]
    assert "candidatesTokenCount" not in response["usageMetadata"]


def test_a_budget_of_zero_thinks_nothing() -> None:
    response = answer("x", model=MODEL, thinkingConfig={"thinkingBudget": 0})
    assert "thoughtsTokenCount" not in response["usageMetadata"]


def test_thoughts_nobody_budgeted_do_not_count_against_the_limit() -> None:
    response = answer("x", model=MODEL, maxOutputTokens=10)
    assert response["usageMetadata"]["thoughtsTokenCount"] == 32
    assert text_of(response) == "Echo: x"


def test_thoughts_come_first_when_asked_for() -> None:
    response = answer("Why?", thinkingConfig={"includeThoughts": True, "thinkingLevel": "LOW"})
    parts = first(response)["content"]["parts"]
    assert parts == [
        {"text": "Thinking about: Why?", "thought": True},
        {"text": "Echo: Why?"},
    ]
    assert response["usageMetadata"]["thoughtsTokenCount"] == 16


def test_a_stop_sequence_ends_the_text_before_it() -> None:
    assert text_of(answer("one STOP two", stopSequences=["STOP", "zwei"])) == "Echo: one "
    assert first(answer("x", stopSequences=["Echo"]))["finishReason"] == "STOP"
    assert text_of(answer("x", stopSequences=[""])) == "Echo: x"


SCHEMA = {
    "type": "OBJECT",
    "properties": {
        "mood": {"type": "STRING", "enum": ["good", "bad", "mixed"]},
        "stars": {"type": "INTEGER", "minimum": 1, "maximum": 5},
    },
    "required": ["mood", "stars"],
    "propertyOrdering": ["stars", "mood"],
}


def structured(text: str, **config: Any) -> Any:
    return json.loads(text_of(answer(text, responseMimeType="application/json", **config)))


def test_a_response_schema_is_kept_and_its_values_differ_between_prompts() -> None:
    values = [structured(f"review {number}", responseSchema=SCHEMA) for number in range(40)]
    for value in values:
        assert list(value) == ["stars", "mood"]
        assert value["mood"] in {"good", "bad", "mixed"}
        assert 1 <= value["stars"] <= 5
    assert len({json.dumps(value) for value in values}) > 10


def test_a_json_schema_is_kept_too() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert isinstance(structured("x", responseJsonSchema=schema)["a"], int)


def test_json_without_a_schema_is_an_object() -> None:
    assert list(structured("x")) == ["answer"]


def test_an_enum_can_be_the_whole_answer() -> None:
    config = {"responseMimeType": "text/x.enum", "responseSchema": SCHEMA["properties"]["mood"]}  # type: ignore[index]
    assert text_of(answer("x", **config)) in {"good", "bad", "mixed"}


def test_a_schema_without_the_mime_type_is_ignored_as_the_service_does() -> None:
    assert text_of(answer("x", responseSchema=SCHEMA)) == "Echo: x"


def test_structured_output_that_is_cut_is_broken_json() -> None:
    text = text_of(
        answer("x", responseMimeType="application/json", responseSchema=SCHEMA, maxOutputTokens=2)
    )
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


def test_a_json_schema_that_makes_no_sense_is_the_rows_error() -> None:
    with pytest.raises(AnswerError, match="cannot be followed"):
        structured("x", responseJsonSchema={"type": "array", "minItems": "many"})


def test_an_embedding_has_the_asked_length_and_its_token_count_as_text() -> None:
    request = {"content": {"parts": [{"text": "Hello world"}]}, "outputDimensionality": 5}
    response = echo("embed", "gemini-embedding-001", request)
    assert len(response["embedding"]["values"]) == 5
    assert response["tokenCount"] == "3"
    del request["outputDimensionality"]
    assert len(echo("embed", "gemini-embedding-001", request)["embedding"]["values"]) == 3072


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 10**9},
        {"type": "array", "minItems": 10**9},
        {"type": "array", "minItems": 99_999, "items": {"type": "array", "minItems": 99_999}},
        {"type": "integer", "minimum": 1e300},
        {"$ref": "#/$defs/nobody"},
        {"$ref": "#/$defs/0", "$defs": {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(5000)}},
        {
            "$ref": "#/$defs/0",
            "$defs": {
                str(n): {"properties": {name: {"$ref": f"#/$defs/{n + 1}"} for name in "abcd"}}
                for n in range(50)
            },
        },
    ],
)
def test_a_schema_that_asks_for_too_much_is_the_rows_error(schema: Any) -> None:
    with pytest.raises(AnswerError, match="cannot be followed") as caught:
        structured("x", responseJsonSchema=schema)
    assert caught.value.code == 3


def test_the_same_request_is_answered_alike_however_it_came() -> None:
    config = {"responseMimeType": "application/json", "responseSchema": SCHEMA, "seed": 3}
    request = text_request("a review", **config)
    other = {
        "labels": {"row": "7"},
        "generationConfig": dict(reversed(config.items())),
        "model": f"models/{PLAIN}",
        "contents": request["contents"],
    }
    assert echo("generate", PLAIN, other) == echo("generate", PLAIN, request)
