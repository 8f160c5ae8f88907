from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.answer import decode_answer

STOP = "STOP"


def candidate(*parts: Any, reason: str | None = STOP, **fields: Any) -> dict[str, Any]:
    return {"content": {"role": "model", "parts": list(parts)}, "finishReason": reason, **fields}


def generated(*candidates: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"candidates": list(candidates), **fields}


def test_parts_are_one_text_and_thoughts_are_left_out() -> None:
    parts = [
        {"text": "let me see", "thought": True},
        {"text": "one ", "thoughtSignature": "c2ln"},
        {"text": "two", "thought": False},
        {"thoughtSignature": "c2ln"},
    ]
    response = decode_answer(generated(candidate(*parts)))
    assert (response.status, response.text) == ("ok", "one two")


def test_parts_as_an_object_are_one_part() -> None:
    """https://github.com/meteatamel/genai-beyond-basics/tree/main/samples/batch-generation"""
    answer = {"candidates": [{"content": {"parts": {"text": "a"}}, "finishReason": STOP}]}
    assert decode_answer(answer).text == "a"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="null"),
        pytest.param({}, id="empty"),
        pytest.param({"role": "model"}, id="no parts"),
        pytest.param({"parts": []}, id="empty parts"),
        pytest.param({"parts": None}, id="null parts"),
        pytest.param({"parts": [{}]}, id="an empty part"),
        pytest.param({"parts": [{"text": ""}]}, id="empty text"),
        pytest.param({"parts": [{"text": None}]}, id="null text"),
        pytest.param({"parts": [{"text": "hm", "thought": True}]}, id="thoughts only"),
        pytest.param({"parts": [{"thoughtSignature": "c2ln"}]}, id="a signature only"),
        pytest.param({"parts": [{"text": None, "functionCall": None}]}, id="null siblings"),
        pytest.param({"parts": "text"}, id="parts of another type"),
        pytest.param("text", id="content of another type"),
    ],
)
def test_a_candidate_without_a_usable_part_is_empty(content: Any) -> None:
    response = decode_answer({"candidates": [{"content": content, "finishReason": STOP}]})
    assert (response.status, response.text) == ("empty", None)
    assert (response.finish_reason, response.error_message) == (
        STOP,
        "the candidate has no usable part",
    )


@pytest.mark.parametrize(
    "part",
    [
        {"functionCall": {"name": "f", "args": {}}},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
        {"fileData": {"fileUri": "gs://b/o"}},
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
        {"functionResponse": {"name": "f", "response": {}}},
        {"audioTranscription": {"text": "hello"}},
    ],
    ids=lambda part: next(iter(part)),
)
def test_a_call_or_media_is_an_answer_without_text(part: dict[str, Any]) -> None:
    response = decode_answer(generated(candidate({"text": None, **part})))
    assert (response.status, response.text, response.notes) == ("ok", None, ())


def test_truncated_keeps_the_text_there_is_even_none() -> None:
    cut = decode_answer(generated(candidate({"text": "half an"}, reason="MAX_TOKENS")))
    assert (cut.status, cut.text, cut.finish_reason) == ("truncated", "half an", "MAX_TOKENS")
    all_thought = decode_answer(generated(candidate(reason="MAX_TOKENS")))
    assert (all_thought.status, all_thought.text) == ("truncated", None)


def test_a_refusal_is_blocked_with_the_service_s_words() -> None:
    said = {"finishMessage": "I cannot help with that"}
    response = decode_answer(generated(candidate(reason="SAFETY", **said)))
    assert (response.status, response.error_code) == ("blocked", "SAFETY")
    assert response.error_message == "I cannot help with that"
    plain = decode_answer(generated(candidate(reason="SAFETY")))
    assert plain.error_message == "the model stopped: SAFETY"


def test_a_finish_reason_nobody_knows_is_an_error_and_kept() -> None:
    response = decode_answer(generated(candidate({"text": "a"}, reason="NEW_IN_2027")))
    assert (response.status, response.finish_reason) == ("error", "NEW_IN_2027")
    assert (response.error_code, response.text) == ("NEW_IN_2027", "a")


@pytest.mark.parametrize("reason", [None, ""])
def test_text_without_a_finish_reason_is_ok_and_noted(reason: str | None) -> None:
    response = decode_answer(generated(candidate({"text": "a"}, reason=reason)))
    assert (response.status, response.finish_reason) == ("ok", None)
    assert response.notes == ("the service gave no finish reason",)
    empty = decode_answer(generated(candidate(reason=reason)))
    assert (empty.status, empty.finish_reason, empty.notes) == ("empty", None, ())


@pytest.mark.parametrize("candidates", [None, [], "absent"])
def test_a_blocked_prompt_has_no_candidate_and_says_why(candidates: Any) -> None:
    """https://ai.google.dev/api/generate-content#PromptFeedback"""
    answer = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 7},
        **({} if candidates == "absent" else {"candidates": candidates}),
    }
    response = decode_answer(answer)
    assert (response.status, response.error_code) == ("blocked", "PROHIBITED_CONTENT")
    assert response.error_message == "the prompt was blocked"
    assert (response.prompt_tokens, response.output_tokens) == (7, None)


def test_a_blocked_prompt_beside_an_empty_candidate_is_blocked() -> None:
    feedback = {"blockReason": "SAFETY", "blockReasonMessage": "unsafe"}
    response = decode_answer(generated(candidate(), promptFeedback=feedback))
    assert (response.status, response.error_code) == ("blocked", "SAFETY")
    assert response.error_message == "unsafe"


def test_feedback_that_blocks_nothing_takes_no_answer_away() -> None:
    answer = generated(candidate({"text": "a"}), promptFeedback={"safetyRatings": []})
    assert decode_answer(answer).status == "ok"
    assert decode_answer({"promptFeedback": {}}).status == "empty"
    assert decode_answer({"promptFeedback": "SAFETY"}).status == "empty"


def test_no_answer_and_an_empty_one_are_empty() -> None:
    assert decode_answer(None).error_message == "the line has neither response nor error"
    assert decode_answer({}).error_message == "the response has no candidate"
    assert decode_answer(None).status == decode_answer({}).status == "empty"


@pytest.mark.parametrize("answer", ["text", 1, True, ["candidates"]])
def test_an_answer_that_is_no_object_is_malformed(answer: Any) -> None:
    assert decode_answer(answer).status == "malformed"


@pytest.mark.parametrize("candidates", [{"content": {}}, "text", [None], [[]], ["a"], 1])
def test_candidates_that_are_no_list_of_objects_are_malformed(candidates: Any) -> None:
    assert decode_answer({"candidates": candidates}).status == "malformed"


def test_of_several_candidates_the_one_with_the_lowest_index_answers() -> None:
    second, first = candidate({"text": "b"}, index=1), candidate({"text": "a"})
    response = decode_answer(generated(second, first))  # an index of zero is left out
    assert (response.text, response.notes) == ("a", ("candidates: 2",))


def test_fields_nobody_knows_are_passed_over() -> None:
    answer = generated(
        candidate({"text": "a", "new": {}}, newer=[1]),
        embedding=None,
        newest={"deep": [{}]},
        modelVersion=3,
    )
    response = decode_answer(answer)
    assert (response.status, response.text, response.model_version) == ("ok", "a", None)


def counted(count: Any) -> set[int | None]:
    """What stands in the five columns when the service gives this count for each."""
    usage = {
        "promptTokenCount": count,
        "candidatesTokenCount": count,
        "thoughtsTokenCount": count,
        "cachedContentTokenCount": count,
        "totalTokenCount": count,
    }
    said = decode_answer(generated(candidate({"text": "a"}), usageMetadata=usage))
    assert said.status == "ok"
    spent = {said.prompt_tokens, said.output_tokens, said.thoughts_tokens}
    return spent | {said.cached_tokens, said.total_tokens}


@pytest.mark.parametrize("number", [0, 7, 2**53 + 1, 2**63 - 1])
def test_a_count_is_a_number_or_its_text(number: int) -> None:
    assert counted(number) == counted(str(number)) == {number}


def test_a_whole_float_is_a_count() -> None:
    assert counted(7.0) == {7}


@pytest.mark.parametrize(
    "count",
    [
        *(2**63, str(2**63), "9" * 5_000, 1e30, float("inf"), float("nan")),
        *(7.5, -1, "-1", "seven", "²", "", True, None, [7], {}),
    ],
    ids=lambda count: repr(count)[:30],
)
def test_what_is_no_count_that_a_column_holds_is_null(count: Any) -> None:
    assert counted(count) == {None}


def test_counts_the_service_left_out_are_null() -> None:
    for usage in ({}, None, "7", {"promptTokenCount": None}):
        response = decode_answer(generated(candidate({"text": "a"}), usageMetadata=usage))
        assert response.prompt_tokens is response.total_tokens is None


def test_an_embedding_is_a_vector_of_float32() -> None:
    response = decode_answer({"embedding": {"values": [0.1, -1, 3e-50]}, "tokenCount": "2"})
    assert response.status == "ok"
    assert response.embedding is not None
    assert response.embedding.dtype == np.float32
    assert response.embedding.tolist() == np.array([0.1, -1, 0], np.float32).tolist()
    assert (response.prompt_tokens, response.total_tokens) == (2, 2)


def test_an_embedding_s_tokens_may_stand_in_the_usage() -> None:
    answer = {"embedding": {"values": [1.0]}, "usageMetadata": {"promptTokenCount": 5}}
    assert decode_answer(answer).prompt_tokens == 5
    padded = {**answer, "usageMetadata": {"promptTokenCount": None}, "tokenCount": "6"}
    assert decode_answer(padded).prompt_tokens == 6


def test_a_text_longer_than_the_model_reads_is_noted() -> None:
    response = decode_answer({"embedding": {"values": [1.0]}, "truncated": True})
    assert (response.status, response.notes) == ("ok", ("text was longer than the model reads",))
    assert decode_answer({"embedding": {"values": [1.0]}, "truncated": False}).notes == ()


@pytest.mark.parametrize("embedding", [{}, {"values": None}, {"values": []}, "text", []])
def test_an_embedding_without_values_is_empty(embedding: Any) -> None:
    response = decode_answer({"embedding": embedding})
    assert (response.status, response.embedding) == ("empty", None)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(["0.1", "0.2"], id="texts"),
        pytest.param([0.1, "NaN"], id="a text"),
        pytest.param([0.1, None], id="a null"),
        pytest.param([True, False], id="booleans"),
        pytest.param([[0.1], [0.2]], id="a matrix"),
        pytest.param([[0.1], [0.2, 0.3]], id="ragged lists"),
        pytest.param([0.1, {}], id="an object"),
        pytest.param({"0": 0.1}, id="a map"),
        pytest.param("0.1", id="one text"),
        pytest.param(0.1, id="one number"),
        pytest.param([0.1, 1e300], id="more than float32 holds"),
        pytest.param([0.1, 10**400], id="more than a float holds"),
        pytest.param([0.1, float("inf")], id="infinity"),
        pytest.param([0.1, float("nan")], id="NaN"),
    ],
)
def test_values_that_are_no_finite_numbers_are_malformed(values: Any) -> None:
    response = decode_answer({"embedding": {"values": values}})
    assert (response.status, response.embedding) == ("malformed", None)
    assert str(response.error_message).startswith("the embedding is not a list of")


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_every_vector_of_float32_comes_as_it_is(values: list[float]) -> None:
    response = decode_answer({"embedding": {"values": values}})
    assert response.embedding is not None
    assert response.embedding.tolist() == values


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(), st.booleans())))
def test_the_text_is_that_of_all_parts_but_thoughts(parts: list[tuple[str, bool]]) -> None:
    spoken = "".join(text for text, is_thought in parts if not is_thought)
    shown = [{"text": t, **({"thought": True} if thought else {})} for t, thought in parts]
    response = decode_answer(generated(candidate(*shown)))
    assert response.text == (spoken or None)
    assert response.status == ("ok" if spoken else "empty")
