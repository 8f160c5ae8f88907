from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.canonical import request_hash
from batchkit.fields import field_table
from batchkit.wire import (
    DIALECTS,
    Dialect,
    decode_item,
    decode_line,
    dialect_for,
    rpc_reason,
)

if TYPE_CHECKING:
    from batchkit.outcome import Response

ANSWER: dict[str, Any] = {
    "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
    "modelVersion": "m",
}
VECTOR: dict[str, Any] = {"embedding": {"values": [1.0, 2.0]}, "tokenCount": "3"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def said(response: Response) -> tuple[str | None, str, str | None]:
    return response.key, response.status, response.text


def failed(response: Response) -> tuple[str, str | None, str | None]:
    return response.status, response.error_code, response.error_message


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@settings(deadline=None)
@given(key=TEXT, text=TEXT)
def test_a_line_gives_back_its_key_and_its_request(dialect: Dialect, key: str, text: str) -> None:
    body = {"contents": [{"parts": [{"text": text}]}]}
    line = dialect.line(key, json.dumps(body, ensure_ascii=False).encode())
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line) == {"key": key, "request": body}
    echoed = decode_line(line.replace(b"}\n", b',"response":{}}\n'))
    assert echoed.key == key
    assert echoed.request_hash == request_hash(
        body, field_table("vertex"), "GenerateContentRequest"
    )


def test_each_service_has_one_format_for_each_kind_of_request() -> None:
    formats = [
        dialect_for(service, kind).name
        for service in ("gemini", "vertex")
        for kind in ("generate", "embed")
    ]
    assert formats == ["gemini-generate", "gemini-embed", "vertex-generate", "vertex-embed"]
    for dialect in DIALECTS:
        table = field_table(dialect.service)
        assert table.message(dialect.request_type) or not dialect.wrapped


def test_a_line_of_the_developer_api_is_read_in_any_order_of_its_fields() -> None:
    for item in ({"key": "a", "response": ANSWER}, {"response": ANSWER, "key": "a"}):
        assert said(decode_item(item)) == ("a", "ok", "hi")


def test_null_siblings_change_nothing() -> None:
    item = {
        "key": "a",
        "metadata": None,
        "error": None,
        "status": None,
        "request": None,
        "instance": None,
        "predictions": None,
        "response": {**ANSWER, "embedding": None, "promptFeedback": None, "usageMetadata": None},
    }
    response = decode_item(item)
    assert said(response) == ("a", "ok", "hi")
    assert response.request_hash is None


@pytest.mark.parametrize(
    "item",
    [
        {"metadata": {"key": "a"}, "response": ANSWER},
        {"key": None, "metadata": {"key": "a"}, "response": ANSWER},
        {"key": "a", "metadata": {"key": "b"}, "response": ANSWER},
        {"key": "a", **ANSWER},
        {"metadata": {"key": "a"}, **ANSWER},
        {"key": "a", "response": json.dumps(ANSWER)},
        {"key": "a", "status": "", "response": ANSWER, "new": 1},
        {"key": "a", "status": {"code": 0}, "response": ANSWER},
        {"key": "a", "error": {}, "response": ANSWER},
    ],
)
def test_the_key_and_the_answer_are_found_where_they_may_stand(item: dict[str, Any]) -> None:
    """Inlined responses: https://ai.google.dev/api/batch-mode#InlinedResponse"""
    assert said(decode_item(item)) == ("a", "ok", "hi")


def test_a_bare_response_is_an_answer_without_a_key() -> None:
    """Documented as a line of an output file: https://ai.google.dev/gemini-api/docs/batch-api"""
    assert said(decode_item(ANSWER)) == (None, "ok", "hi")
    assert decode_item({"promptFeedback": {"blockReason": "SAFETY"}}).status == "blocked"
    assert decode_item(VECTOR).status == "ok"


@pytest.mark.parametrize(
    "key, text",
    [
        (7, "7"),
        (-7, "-7"),
        (0, "0"),
        (7.0, "7"),
        (2**64 - 1, str(2**64 - 1)),
        ("", ""),
        ("07", "07"),
    ],
    ids=repr,
)
def test_a_key_is_text_or_a_whole_number(key: Any, text: str) -> None:
    assert decode_item({"key": key, "response": ANSWER}).key == text
    assert decode_item({"metadata": {"key": key}, "response": ANSWER}).key == text


@pytest.mark.parametrize("key", [None, True, 7.5, 1e300, ["a"], {"a": 1}], ids=repr)
def test_what_is_no_key_is_none(key: Any) -> None:
    assert said(decode_item({"key": key, "response": ANSWER})) == (None, "ok", "hi")


@pytest.mark.parametrize("metadata", ["a", ["key"], 1])
def test_metadata_of_another_type_holds_no_key(metadata: Any) -> None:
    assert decode_item({"metadata": metadata, "response": ANSWER}).key is None


def test_a_line_with_neither_response_nor_error_is_empty() -> None:
    for item in ({"key": "a"}, {"key": "a", "response": None}, {"key": "a", "request": {}}):
        response = decode_item(item)
        assert (response.key, response.status) == ("a", "empty")
        assert response.error_message == "the line has neither response nor error"
    assert decode_item({}).status == "empty"


@pytest.mark.parametrize("response", ["text", 5, True, [ANSWER]])
def test_a_response_of_another_type_is_malformed_with_its_key(response: Any) -> None:
    decoded = decode_item({"key": "a", "response": response})
    assert said(decoded) == ("a", "malformed", None)


@pytest.mark.parametrize(
    "error, code, message",
    [
        ({"code": 13, "message": "oops"}, "INTERNAL", "oops"),
        ({"code": "8", "message": "oops"}, "RESOURCE_EXHAUSTED", "oops"),
        ({"code": 429, "message": "oops"}, "RESOURCE_EXHAUSTED", "oops"),
        ({"code": 3, "status": "FAILED_PRECONDITION"}, "FAILED_PRECONDITION", None),
        ({"code": 3}, "INVALID_ARGUMENT", None),
        ({"code": 999, "message": "oops"}, "CODE_999", "oops"),
        ({"message": "oops"}, "UNKNOWN", "oops"),
        ({"code": 0, "message": "oops"}, "UNKNOWN", "oops"),
        ({"error": {"code": 13, "message": "oops"}}, "INTERNAL", "oops"),
        ({"error": {"error": {"status": "ABORTED", "message": "o"}}}, "ABORTED", "o"),
        ({"code": 3, "message": "oops", "details": [{"@type": "x"}]}, "INVALID_ARGUMENT", "oops"),
        ("quota exceeded", "UNKNOWN", "quota exceeded"),
        ("UNAVAILABLE: try again", "UNAVAILABLE", "UNAVAILABLE: try again"),
        ({"error": "quota"}, "UNKNOWN", "quota"),
        ({"reason": "quota"}, "UNKNOWN", "{'reason': 'quota'}"),
        ({}, "UNKNOWN", None),
        (True, "UNKNOWN", "True"),
    ],
    ids=repr,
)
def test_an_error_has_its_reason_and_its_message(
    error: Any, code: str, message: str | None
) -> None:
    """google.rpc.Status: https://ai.google.dev/api/files#Status"""
    decoded = decode_item({"key": "a", "error": error})
    assert failed(decoded) == ("error", code, message)
    assert decoded.key == "a"


def test_an_error_beside_an_answer_is_an_error() -> None:
    item = {"key": "a", "error": {"code": 13}, "response": ANSWER}
    assert failed(decode_item(item)) == ("error", "INTERNAL", None)


def test_a_line_may_be_a_bare_status_object() -> None:
    """https://ai.google.dev/gemini-api/docs/batch-api: "either a response or a status object"."""
    bare = {"code": 3, "message": "bad", "status": "INVALID_ARGUMENT", "details": []}
    assert failed(decode_item(bare)) == ("error", "INVALID_ARGUMENT", "bad")
    assert decode_item({"key": "a", **bare}).key == "a"
    assert failed(decode_item({"code": 13})) == ("error", "INTERNAL", None)


def test_a_bigquery_row_may_have_columns_called_code_and_message() -> None:
    item = {"code": 3, "message": "mine", "request": {}, "response": ANSWER, "status": ""}
    assert decode_item(item).status == "ok"
    bad = {**item, "response": None, "status": "INTERNAL"}
    assert failed(decode_item(bad)) == ("error", "INTERNAL", "INTERNAL")


@pytest.mark.parametrize(
    "status, code, message",
    [
        (
            (
                'Bad Request: {"error": {"code": 400, "message": "wrong role", "status": '
                '"INVALID_ARGUMENT"}}'
            ),
            "INVALID_ARGUMENT",
            "wrong role",
        ),
        (
            'Bad Request: {"error":{"code":400,"message":"a\\nb: {}"}} ',
            "INVALID_ARGUMENT",
            "a\nb: {}",
        ),
        ('{"code": 8, "message": "quota"}', "RESOURCE_EXHAUSTED", "quota"),
        ("INVALID_ARGUMENT", "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ("INTERNAL: try later", "INTERNAL", "INTERNAL: try later"),
        ("Error: quota exceeded", "UNKNOWN", "Error: quota exceeded"),
        ('Bad Request: {"error": {"code', "UNKNOWN", 'Bad Request: {"error": {"code'),
        ("Bad Request: {}", "UNKNOWN", "Bad Request: {}"),
        ({"code": 13, "message": "oops"}, "INTERNAL", "oops"),
        ({"error": {"code": 13, "message": "oops"}}, "INTERNAL", "oops"),
    ],
    ids=repr,
)
def test_a_status_that_is_not_empty_is_a_failure(status: Any, code: str, message: str) -> None:
    """https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage

    Statuses without JSON are in the tests of github.com/BerriAI/litellm.
    """
    decoded = decode_item({"status": status, "request": {}, "response": {}})
    assert failed(decoded) == ("error", code, message)


def test_a_legacy_row_is_a_vector_with_its_counts() -> None:
    """https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/embeddings/batch-prediction-genai-embeddings"""
    embeddings = {"statistics": {"token_count": 8, "truncated": True}, "values": [0.5, 0.25]}
    predictions = [{"embeddings": embeddings}]
    row = {"instance": {"content": "Give"}, "predictions": predictions, "status": ""}
    response = decode_item(row)
    assert (response.status, response.key, response.prompt_tokens) == ("ok", None, 8)
    assert response.embedding is not None
    assert response.embedding.tolist() == [0.5, 0.25]
    assert response.notes == ("text was longer than the model reads",)
    keyed = decode_item({**row, "instance": {"content": "Give", "key": "a"}})
    assert keyed.key == "a"
    column = decode_item({"content": "Give", "predictions": json.dumps(predictions), "key": 1})
    assert (column.key, column.status) == ("1", "ok")


@pytest.mark.parametrize(
    "predictions, status",
    [
        (None, "empty"),
        ([], "empty"),
        ([{}], "empty"),
        ([{"embeddings": {}}], "empty"),
        ([{"embeddings": {"values": [0.5], "statistics": None}}], "ok"),
        ([{"embeddings": {"values": ["a"]}}], "malformed"),
        ({"embeddings": {"values": [0.5]}}, "empty"),
        ("text", "empty"),
    ],
    ids=repr,
)
def test_a_legacy_row_without_a_vector_says_so(predictions: Any, status: str) -> None:
    row = {"instance": {"content": "a", "key": "k"}, "predictions": predictions, "status": ""}
    decoded = decode_item(row)
    assert (decoded.key, decoded.status) == ("k", status)


def test_a_failed_legacy_row_has_its_reason() -> None:
    row = {"instance": {"content": "a"}, "predictions": [], "status": "INTERNAL"}
    assert failed(decode_item(row)) == ("error", "INTERNAL", "INTERNAL")


def test_an_echoed_request_is_hashed_by_its_kind() -> None:
    generate = {"contents": [{"parts": [{"text": "a"}]}], "content": None}
    embed = {"content": {"parts": [{"text": "a"}]}}
    table = field_table("vertex")
    hashes = [
        decode_item({"request": echo, "response": {}}).request_hash for echo in (generate, embed)
    ]
    del generate["content"]
    assert hashes == [
        request_hash(generate, table, "GenerateContentRequest"),
        request_hash(embed, table, "EmbedContentRequest"),
    ]
    for echo in (None, "text", [], 5):
        assert decode_item({"request": echo, "response": {}}).request_hash is None


def test_the_body_is_kept_when_asked_for_as_the_service_sent_it() -> None:
    line = '{"key":"a","response":{"b":1.0,"a":[1e2,"é\\u0000"],"candidates":null}}'
    kept = decode_line(line.encode(), keep_body=True)
    assert kept.body is not None
    assert list(json.loads(kept.body)) == ["b", "a", "candidates"]
    assert json.loads(kept.body) == json.loads(line)["response"]
    assert decode_line(line.encode()).body is None


@pytest.mark.parametrize(
    "item, body",
    [
        ({"response": {}}, {}),
        ({"response": json.dumps(ANSWER)}, ANSWER),
        ({"instance": {}, "predictions": [{}]}, [{}]),
        ({"key": "a", **VECTOR}, {"key": "a", **VECTOR}),
        ({"key": "a", "error": {"code": 13}}, None),
        ({"key": "a", "response": None}, None),
    ],
    ids=repr,
)
def test_the_body_is_that_of_the_answer_wherever_it_stands(item: Any, body: Any) -> None:
    kept = decode_item(item, keep_body=True).body
    assert (None if kept is None else json.loads(kept)) == body


@pytest.mark.parametrize("item", [None, [], "text", 1, True])
def test_what_is_no_object_is_malformed(item: Any) -> None:
    assert decode_item(item).status == "malformed"


def test_half_an_emoji_costs_one_character_not_the_row() -> None:
    candidates = b'[{"content":{"parts":[{"text":"b\\ude00"}]}}]'
    line = b'{"key":"a\\ud83d","response":{"candidates":%s}}' % candidates
    assert said(decode_line(line)) == ("a\ufffd", "ok", "b\ufffd")


def nested(depth: int, inside: str) -> str:
    return '{"a":' * depth + inside + "}" * depth


@pytest.mark.parametrize("depth", [300, 900, 1_000, 100_000])
@pytest.mark.parametrize(
    "line",
    [
        '{"key":"k","request":%s,"response":%s}',
        '{"key":"k","error":%s,"x":%s}',
        '{"key":"k","status":{"code":13,"message":%s},"x":%s}',
        '{"key":"k","response":{"candidates":[{"finishReason":%s,"content":%s}]}}',
        '{"key":"k","response":{"embedding":{"values":[%s]}},"x":%s}',
        '{"key":"k\\ud83d","response":{"promptFeedback":{"blockReason":%s}},"x":%s}',
    ],
    ids=["echo", "error", "status", "reason", "vector", "half an emoji"],
)
def test_a_line_nested_without_end_is_a_row(line: str, depth: int) -> None:
    response = decode_line((line % ((nested(depth, "1"),) * 2)).encode(), keep_body=True)
    assert response.status in {"ok", "empty", "blocked", "error", "malformed"}
    assert response.key in {"k", "k\ufffd"} or response.status == "malformed"


def test_an_error_in_an_error_in_an_error_is_found() -> None:
    error = '{"error":' * 900 + '{"code":13,"message":"deep"}' + "}" * 900
    assert failed(decode_line(f'{{"key":"k",{error[1:]}'.encode())) == ("error", "INTERNAL", "deep")


@pytest.mark.parametrize(
    "number", ["9" * 30, "-" + "9" * 30, "1e300", "18446744073709551616", "0." + "1" * 400]
)
@pytest.mark.parametrize("half", ["", "\\ud83d"], ids=["plain", "half an emoji"])
def test_numbers_of_any_size_are_read_wherever_they_stand(number: str, half: str) -> None:
    line = (
        f'{{"key":"k{half}","request":{{"contents":[],"generationConfig":{{"seed":{number}}}}},'
        f'"response":{{"candidates":[{{"content":{{"parts":[{{"text":"a","n":{number}}}]}},'
        f'"finishReason":"STOP"}}],"usageMetadata":{{"totalTokenCount":{number}}}}}}}'
    )
    response = decode_line(line.encode(), keep_body=True)
    assert (response.status, response.text, response.total_tokens) == ("ok", "a", None)
    vector = f'{{"key":"k{half}","response":{{"embedding":{{"values":[0.5,{number}]}}}}}}'
    is_finite = float(number) < 3e38
    decoded = decode_line(vector.encode())
    assert decoded.status == ("ok" if is_finite else "malformed")


@pytest.mark.parametrize(
    "code, reason",
    [
        (0, "OK"),
        (1, "CANCELLED"),
        (16, "UNAUTHENTICATED"),
        (17, "CODE_17"),
        (400, "INVALID_ARGUMENT"),
        (404, "NOT_FOUND"),
        (429, "RESOURCE_EXHAUSTED"),
        (503, "UNAVAILABLE"),
        (418, "CODE_418"),
        (-1, "CODE_-1"),
        ("13", "INTERNAL"),
        ("429", "RESOURCE_EXHAUSTED"),
        ("teapot", "CODE_teapot"),
        (None, "UNKNOWN"),
    ],
    ids=repr,
)
def test_a_code_of_either_kind_has_its_name(code: object, reason: str) -> None:
    """https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto"""
    assert rpc_reason(code) == reason


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "STOP", "a", '{"candidates":[]}', "Bad: {}", "13", "\ud83d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)


def shaped(**fields: Any) -> st.SearchStrategy[Any]:
    """An object of some of these fields, each of its own shape or of any."""
    return ODD | st.fixed_dictionaries({}, optional={n: ODD | f for n, f in fields.items()})


PART = shaped(text=ODD, thought=ODD, functionCall=ODD)
CANDIDATE = shaped(
    index=ODD, finishReason=ODD, finishMessage=ODD, content=shaped(parts=st.lists(PART) | PART)
)
USAGE = shaped(promptTokenCount=ODD, totalTokenCount=ODD, candidatesTokenCount=ODD)
RESPONSE = shaped(
    candidates=st.lists(CANDIDATE),
    promptFeedback=shaped(blockReason=ODD, blockReasonMessage=ODD),
    embedding=shaped(values=st.lists(ODD)),
    usageMetadata=USAGE,
    tokenCount=ODD,
    truncated=ODD,
    modelVersion=ODD,
)
STATUS = shaped(code=ODD, message=ODD, status=ODD, error=ODD)
ITEM = shaped(
    key=ODD,
    metadata=shaped(key=ODD),
    instance=shaped(key=ODD),
    request=shaped(contents=ODD, content=ODD, labels=shaped(batchkit=ODD), generationConfig=ODD),
    response=RESPONSE,
    error=STATUS,
    status=STATUS,
    predictions=st.lists(shaped(embeddings=shaped(values=st.lists(ODD), statistics=ODD))),
    code=ODD,
    message=ODD,
    candidates=st.lists(CANDIDATE),
)


@settings(deadline=None)
@given(ITEM)
def test_a_line_of_fields_of_any_shape_is_one_response(item: Any) -> None:
    line = json.dumps(item).encode()
    response = decode_line(line, keep_body=True)
    assert response.status in {"ok", "truncated", "blocked", "empty", "malformed", "error"}
    # An ok row has an answer, or was asked for something that is no text.
    if response.status == "ok" and response.embedding is None and response.text is None:
        assert b"functionCall" in line
    if response.status == "error":
        assert response.error_code
    if response.status in {"blocked", "empty", "malformed"}:
        assert response.error_message
