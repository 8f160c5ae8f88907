from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from batchkit import jsonl
from batchkit.request_line import check_line
from batchkit.rules import check_request
from batchkit.wire import DIALECTS, Dialect
from tests.proto_values import FACTS

GENERATE, EMBED, VERTEX, VERTEX_EMBED, _ = DIALECTS
BUGS: dict[str, dict[str, Any]] = jsonl.loads((FACTS / "bugs.json").read_bytes())["bugs"]


def with_parts(*parts: Any, **beside: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": list(parts)}], **beside}


def with_config(**config: Any) -> dict[str, Any]:
    return with_parts({"text": "a"}, generationConfig=config)


def found(body: Any, dialect: Dialect = GENERATE) -> list[tuple[str, str]]:
    return [(problem.rule, problem.path) for problem in check_request(body, dialect)]


@pytest.mark.parametrize(
    "body, problem",
    [
        ({}, ("no-contents", "$.request.contents")),
        ({"contents": []}, ("no-contents", "$.request.contents")),
        ({"contents": None}, ("no-contents", "$.request.contents")),
        ({"contents": [{}]}, ("no-parts", "$.request.contents[0].parts")),
        ({"contents": [{"parts": []}]}, ("no-parts", "$.request.contents[0].parts")),
        (with_parts({}), ("empty-part", "$.request.contents[0].parts[0]")),
        (with_parts({"text": None}), ("empty-part", "$.request.contents[0].parts[0]")),
        (
            with_parts({"text": "a"}, {"video_metadata": {"fps": 1}}),
            ("empty-part", "$.request.contents[0].parts[1]"),
        ),
        (
            with_parts({"text": "a", "file_data": {"fileUri": "https://x/y.png"}}),
            ("part-of-two", "$.request.contents[0].parts[0]"),
        ),
        (
            with_parts({"fileData": {"mimeType": "image/png"}}),
            ("no-file", "$.request.contents[0].parts[0].fileData.fileUri"),
        ),
        (
            with_parts({"inlineData": {"data": "aGk="}}),
            ("no-data", "$.request.contents[0].parts[0].inlineData.mimeType"),
        ),
        (
            with_parts({"inline_data": {"mime_type": "image/png"}}),
            ("no-data", "$.request.contents[0].parts[0].inline_data.data"),
        ),
        (
            with_config(response_schema={"type": "STRING"}),
            ("schema-without-type", "$.request.generationConfig.response_schema"),
        ),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_a_request_lacks_is_an_error(body: Any, problem: tuple[str, str]) -> None:
    [error] = check_request(body, GENERATE)
    assert (error.severity, (error.rule, error.path)) == ("error", problem)
    assert error.remedy


@pytest.mark.parametrize(
    "part",
    [
        {"text": "a", "thought": True},
        {"text": "a", "thoughtSignature": "aGk="},
        {"thoughtSignature": "aGk="},
        {"fileData": {"fileUri": "https://x/y.mp4"}, "videoMetadata": {"fps": 1}},
        {"inline_data": {"mime_type": "image/png", "data": "aGk="}},
        {"functionCall": {"name": "f", "args": {"a": 1}}},
        {"function_response": {"name": "f", "response": {"a": None}}},
    ],
    ids=repr,
)
def test_parts_as_the_api_shows_them_pass(part: dict[str, Any]) -> None:
    assert found(with_parts(part)) == []


@pytest.mark.parametrize(
    "role, remedy",
    [
        ("assistant", "use model"),
        ("AI", "use model"),
        ("human", "use user"),
        ("User", "use user"),
        ("system", "move it to systemInstruction"),
        ("tester", "use user or model"),
    ],
)
def test_a_role_of_another_api_is_refused_with_the_right_one(role: str, remedy: str) -> None:
    body = {"contents": [{"parts": [{"text": "a"}]}, {"role": role, "parts": [{"text": "a"}]}]}
    [problem] = check_request(body, GENERATE)
    assert (problem.severity, problem.rule) == ("error", "bad-role")
    assert problem.path == "$.request.contents[1].role"
    assert problem.message == f"the role {role!r} is refused"
    assert problem.remedy == remedy


@pytest.mark.parametrize("role", ["user", "model", "function", "tool", "", None])
def test_the_roles_of_the_api_pass(role: str | None) -> None:
    assert found({"contents": [{"role": role, "parts": [{"text": "a"}]}]}) == []


def test_a_system_instruction_may_call_itself_one_and_nothing_else() -> None:
    body = with_parts({"text": "a"}, system_instruction={"role": "system", "parts": []})
    assert found(body) == []
    body["system_instruction"]["role"] = "assistant"
    assert found(body) == [("bad-role", "$.request.system_instruction.role")]


@pytest.mark.parametrize(
    "uri, problems",
    [
        (
            "https://generativelanguage.googleapis.com/v1beta/files/abc",
            {"gemini": ["file-expires"], "vertex": ["file-unreachable"]},
        ),
        ("files/abc", {"gemini": ["file-expires"], "vertex": ["file-unreachable"]}),
        (
            "http://127.0.0.1:8000/v1/files/abc",
            {"gemini": ["file-expires"], "vertex": ["file-unreachable"]},
        ),
        ("gs://bucket/files/a.png", {"gemini": [], "vertex": []}),
        ("gs://bucket/a.png", {"gemini": [], "vertex": []}),
        ("https://www.youtube.com/watch?v=abc", {"gemini": [], "vertex": []}),
        ("/home/me/a.png", {"gemini": [], "vertex": ["file-unreachable"]}),
    ],
)
def test_a_file_is_one_that_the_service_can_still_read(
    uri: str, problems: dict[str, list[str]]
) -> None:
    part = {"file_data": {"file_uri": uri, "mime_type": "image/png"}}
    place = "file_data.file_uri"
    for dialect in (GENERATE, VERTEX):
        expected = [
            (rule, f"$.request.contents[0].parts[0].{place}") for rule in problems[dialect.service]
        ]
        assert found(with_parts(part), dialect) == expected
    content = {"content": {"parts": [part]}}
    assert found(content, VERTEX_EMBED) == [
        (rule, f"$.request.content.parts[0].{place}") for rule in problems["vertex"]
    ]


def test_a_schema_without_a_response_type_is_refused_however_it_is_spelled() -> None:
    schema = {"type": "STRING"}
    assert found(with_config(responseSchema=schema, response_mime_type="application/json")) == []
    both = with_config(
        responseSchema=schema, responseJsonSchema={}, responseMimeType="application/json"
    )
    assert ("two-schemas", "$.request.generationConfig.responseJsonSchema") in found(both)
    alone = with_config(response_json_schema={})
    place = "$.request.generationConfig.response_json_schema"
    assert found(alone, VERTEX) == [("schema-without-type", place)]


def test_an_embedding_is_asked_for_with_one_content() -> None:
    content = {"parts": [{"text": "a"}]}
    assert found({"content": content}, EMBED) == []
    assert found({}, EMBED) == [("no-content", "$.request.content")]
    assert found({"content": {}}, EMBED) == [("no-parts", "$.request.content.parts")]
    assert found({"content": "a"}, EMBED) == [("wrong-type", "$.request.content")]
    assert found({"contents": [content]}, EMBED) == [
        ("unknown-field", "$.request.contents"),
        ("no-content", "$.request.content"),
    ]


def with_bug(rule: str, service: str) -> tuple[dict[str, Any], Dialect]:
    """A line that has a bug's form, and nothing else wrong with it."""
    generate, embed = (GENERATE, EMBED) if service == "gemini" else (VERTEX, VERTEX_EMBED)
    json_config = {"responseJsonSchema": {}, "responseMimeType": "application/json"}
    bodies: dict[str, tuple[dict[str, Any], Dialect]] = {
        "json-schema-ignored": (with_config(**json_config), generate),
        "empty-url-context": (with_parts({"text": "a"}, tools=[{"url_context": {}}]), generate),
        "empty-google-search": (with_parts({"text": "a"}, tools=[{"googleSearch": {}}]), generate),
        "texts-fused": ({"content": {"parts": [{"text": "a"}, {"text": "b"}]}}, embed),
        "empty-text": (with_parts({"text": ""}, {"text": "a"}), generate),
        "key-on-vertex": (with_parts({"text": "a"}), generate),
    }
    body, dialect = bodies[rule]
    return {"key": "a", "request": body}, dialect


@pytest.mark.parametrize("service", ["gemini", "vertex"])
@pytest.mark.parametrize("rule", sorted(BUGS))
def test_a_bug_is_warned_of_where_it_was_seen_with_its_report(rule: str, service: str) -> None:
    item, dialect = with_bug(rule, service)
    told = [problem for problem in check_line(item, dialect) if problem.rule == rule]
    assert len(told) == (service in BUGS[rule]["services"])
    for problem in told:
        assert problem.severity == "warning"
        assert BUGS[rule]["issue"].removeprefix("https://") in problem.message
        assert f"last seen {BUGS[rule]['last_seen']}" in problem.message
        assert problem.remedy
    assert not [p for p in check_line(item, dialect) if p.severity == "error"]


@pytest.mark.parametrize("rule", sorted(BUGS))
def test_a_bug_has_a_report_and_a_date_that_is_past(rule: str) -> None:
    bug = BUGS[rule]
    assert bug["issue"].startswith("https://github.com/")
    year, month = map(int, bug["last_seen"].split("-"))
    assert dt.date(2024, 1, 1) <= dt.date(year, month, 1) <= dt.date(2026, 11, 24)


def test_a_search_that_says_something_is_not_warned_of() -> None:
    tools = [{"googleSearch": {"excludeDomains": ["example.com"]}}]
    assert found(with_parts({"text": "a"}, tools=tools), VERTEX) == []
