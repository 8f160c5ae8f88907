from __future__ import annotations

from typing import Any

import pytest

from batchkit.request_line import check_line, other_model
from batchkit.wire import DIALECTS, Dialect

GENERATE, _, VERTEX, _, VERTEX_EMBED, LEGACY = DIALECTS


def with_parts(*parts: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": list(parts)}]}


def line_found(item: Any, dialect: Dialect = GENERATE) -> list[tuple[str, str]]:
    return [(problem.rule, problem.path) for problem in check_line(item, dialect)]


@pytest.mark.parametrize(
    "item, problems",
    [
        ({"key": "a", "request": with_parts({"text": "a"})}, []),
        ({"request": with_parts({"text": "a"})}, [("no-key", "$.key")]),
        ({"key": None, "request": with_parts({"text": "a"})}, [("no-key", "$.key")]),
        (with_parts({"text": "a"}), [("no-key", "$.key")]),
        ({"key": "a", **with_parts({"text": "a"})}, [("misplaced-key", "$.key")]),
        ({"key": 5, "request": with_parts({"text": "a"})}, [("bad-key", "$.key")]),
        ({"key": "", "request": with_parts({"text": "a"})}, [("bad-key", "$.key")]),
        ({"key": "a\0", "request": with_parts({"text": "a"})}, [("bad-key", "$.key")]),
        ({"key": "a", "request": "hi"}, [("wrong-type", "$.request")]),
        ({"key": "a", "request": None}, [("wrong-type", "$.request")]),
        ({"key": "a", "response": {}}, [("output-line", "$")]),
        ({"key": "a", "error": {"code": 3}}, [("output-line", "$")]),
        ({"request": {}, "response": {}, "status": ""}, [("output-line", "$")]),
        ("hi", [("not-an-object", "$")]),
        (None, [("not-an-object", "$")]),
        (
            with_parts({"txt": "a"}),
            [("no-key", "$.key"), ("unknown-field", "$.contents[0].parts[0].txt")],
        ),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_line_is_a_key_and_a_request(item: Any, problems: list[tuple[str, str]]) -> None:
    assert line_found(item) == problems


@pytest.mark.parametrize(
    "name, rule, remedy",
    [
        ("system_instruction", "misplaced-field", "did you mean request.systemInstruction?"),
        ("generationConfig", "misplaced-field", "did you mean request.generationConfig?"),
        ("config", "sdk-config", "`batchkit convert` takes it apart"),
        ("custom_id", "unknown-field", "did you mean key?"),
        ("metadata", "unknown-field", "did you mean key?"),
        ("url", "unknown-field", "only key and request may stand on a line"),
    ],
)
def test_a_field_beside_the_request_comes_with_where_it_belongs(
    name: str, rule: str, remedy: str
) -> None:
    item = {"key": "a", name: {"a": 1}, "request": with_parts({"text": "a"})}
    [problem] = check_line(item, GENERATE)
    assert (problem.severity, problem.rule, problem.path) == ("error", rule, f"$.{name}")
    assert problem.message == "unknown field"
    assert remedy in (problem.remedy or "")


def test_vertex_reads_lines_without_a_key() -> None:
    assert line_found({"request": with_parts({"text": "a"})}, VERTEX) == []
    embedding = {"content": {"parts": [{"text": "a"}]}}
    assert line_found({"request": embedding}, VERTEX_EMBED) == [("no-key", "$.key")]


def test_a_legacy_line_is_a_text_whose_answer_has_no_name() -> None:
    assert line_found({"content": "a"}, LEGACY) == [("no-key", "$")]
    for item in ({"content": ""}, {"content": 5}, {"text": "a"}):
        assert line_found(item, LEGACY) == [("no-content", "$.content"), ("no-key", "$")]


def test_a_request_for_another_model_than_its_jobs_would_fail_the_job() -> None:
    for body in ({}, {"model": "m"}, {"model": "models/m"}, {"model": ""}, {"model": 5}, "m"):
        assert list(other_model(body, "m")) == []
    [problem] = other_model({"model": "models/n"}, "m")
    assert (problem.rule, problem.path) == ("other-model", "$.request.model")
    assert "'models/n'" in problem.message
    assert "'m'" in problem.message
