from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchkit.fields import field_table
from batchkit.validity import Problem, body_check, step
from batchkit.wire import DIALECTS
from tests.proto_values import TABLES, Drawing

WRAPPED = [dialect for dialect in DIALECTS if dialect.wrapped]
CONTENTS = [{"parts": [{"text": "a"}]}]


def problems(body: Any, request_type: str = "GenerateContentRequest") -> list[Problem]:
    return list(body_check("gemini", request_type, {})(body))


def said(body: Any) -> list[tuple[str, str]]:
    return [(problem.path, problem.message) for problem in problems(body)]


@pytest.mark.parametrize("dialect", WRAPPED, ids=lambda dialect: dialect.name)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_the_field_table_allows_passes(dialect: Any, data: st.DataObject) -> None:
    body = data.draw(Drawing(dialect.service).values(dialect.request_type, 5))
    assert list(body_check(dialect.service, dialect.request_type, {})(body)) == []


@pytest.mark.parametrize("service", ["gemini", "vertex"])
def test_every_message_of_the_field_tables_has_a_check(service: Any) -> None:
    for name, entry in TABLES[service].items():
        if "fields" in entry:
            found = list(body_check(service, name, {})({"no such field": 1, "other": None}))
            assert [problem.message for problem in found] == ["unknown field"] * 2, name


@pytest.mark.parametrize(
    "body, path, message",
    [
        ({"contents": "hi"}, ".contents", "the text 'hi' instead of a list"),
        ({"contents": {"parts": []}}, ".contents", "an object instead of a list"),
        ({"contents": ["hi"]}, ".contents[0]", "the text 'hi' instead of an object"),
        ({"contents": [{"parts": {"text": "a"}}]}, ".contents[0].parts", "an object instead of"),
        ({"contents": [None]}, ".contents[0]", "null instead of an object"),
        ({"systemInstruction": "Brief"}, ".systemInstruction", "'Brief' instead of an object"),
        ({"tools": [{"codeExecution": 5}]}, ".tools[0].codeExecution", "the number 5 instead of"),
        ({"cachedContent": True}, ".cachedContent", "true instead of text"),
        ({"cachedContent": ["a"]}, ".cachedContent", "a list instead of text"),
        (
            {"generation_config": {"topK": 1.5}},
            ".generation_config.topK",
            "the number 1.5 instead of a 32-bit integer",
        ),
        (
            {"generationConfig": {"top_k": "--5"}},
            ".generationConfig.top_k",
            "the text '--5' instead of a 32-bit integer",
        ),
        (
            {"generationConfig": {"temperature": "warm"}},
            ".generationConfig.temperature",
            "the text 'warm' instead of a number",
        ),
        (
            {"generationConfig": {"responseModalities": [None]}},
            ".generationConfig.responseModalities[0]",
            "null instead of the name of a value",
        ),
        (
            {"contents": [{"parts": [{"inlineData": {"data": "data:a"}}]}]},
            ".contents[0].parts[0].inlineData.data",
            "the text 'data:a' instead of base64",
        ),
        ("hi", "", "the text 'hi' instead of an object"),
        (None, "", "null instead of an object"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_value_of_another_type_is_named_with_its_path(body: Any, path: str, message: str) -> None:
    [problem] = problems(body)
    assert (problem.severity, problem.rule, problem.path) == ("error", "wrong-type", path)
    assert message in problem.message


@pytest.mark.parametrize(
    "body, remedy",
    [
        ({"contents": "hi"}, 'write [{"parts": [{"text": …}]}]'),
        ({"contents": [{"parts": "hi"}]}, 'write [{"text": …}]'),
        ({"systemInstruction": "hi"}, 'write {"parts": [{"text": …}]}'),
        ({"generationConfig": {"stopSequences": "."}}, "write [ ] around it"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_text_in_the_place_of_a_message_comes_with_what_to_write(body: Any, remedy: str) -> None:
    assert [problem.remedy for problem in problems(body)] == [remedy]


def test_a_value_that_an_enum_has_not_comes_with_the_nearest_one() -> None:
    schema = {"type": "string", "properties": {"a": {"type": "BOOL"}, "b": {"type": "???"}}}
    found = problems({"generationConfig": {"responseSchema": schema}})
    place = ".generationConfig.responseSchema"
    values = "TYPE_UNSPECIFIED, STRING, NUMBER, INTEGER, BOOLEAN, ARRAY, OBJECT, NULL"
    assert [(p.path, p.message, p.remedy) for p in found] == [
        (f"{place}.type", "unknown value 'string'", "did you mean STRING?"),
        (f"{place}.properties.a.type", "unknown value 'BOOL'", "did you mean BOOLEAN?"),
        (f"{place}.properties.b.type", "unknown value '???'", f"the values are {values}"),
    ]


def test_both_spellings_of_a_field_are_one_too_many() -> None:
    body = {"generation_config": {"topK": 1, "top_k": 2}, "generationConfig": {}}
    assert said(body) == [
        (".generation_config.top_k", "topK stands beside it"),
        (".generation_config", "generationConfig stands beside it"),
    ]
    assert said({"generation_config": {"topK": None, "top_k": 2}}) == []


def test_a_null_is_as_good_as_no_value_at_all() -> None:
    assert said({"contents": None, "generationConfig": {"topK": None, "seed": None}}) == []


def test_names_inside_maps_are_the_users_and_are_quoted_where_they_must_be() -> None:
    properties = {"a": {"type": 1.5}, "b c": {"kind": 1}, 'd"]': {"type": [1]}}
    schema = {"generationConfig": {"responseSchema": {"properties": properties}}}
    place = ".generationConfig.responseSchema.properties"
    assert [path for path, _ in said(schema)] == [
        f"{place}.a.type",
        f'{place}["b c"].kind',
        f'{place}["d\\"]"].type',
    ]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_step_of_a_path_is_short_and_stands_on_one_line(name: str) -> None:
    written = step(name)
    assert len(written) < 500
    assert "\n" not in written
    assert written == f".{name}" or re.fullmatch(r'\[".*"\]', written)


def test_an_endless_name_is_cut_in_path_and_memory() -> None:
    [problem] = problems({"x" * 1_000_000: 1})
    assert len(str(problem)) < 300


def nested(levels: int, inner: Any = None) -> dict[str, Any]:
    value: dict[str, Any] = inner or {"type": "STRING"}
    for _ in range(levels):
        value = {"items": value}
    return {"generationConfig": {"responseSchema": value}}


def test_a_body_is_followed_no_deeper_than_a_parser_goes() -> None:
    assert said(nested(80)) == []
    [problem] = problems(nested(900))
    assert problem.rule == "too-deep"
    assert problem.path.startswith(".generationConfig.responseSchema.items.items")


def test_free_values_are_followed_as_deep() -> None:
    value: Any = "a"
    for _ in range(900):
        value = [value]
    [problem] = problems({"generationConfig": {"responseJsonSchema": {"default": value}}})
    assert (problem.rule, problem.path) == ("too-deep", ".generationConfig.responseJsonSchema")


def test_a_body_of_nothing_but_mistakes_is_told_by_its_first_hundred() -> None:
    found = problems({"contents": [5] * 100_000})
    assert [problem.path for problem in found] == [f".contents[{i}]" for i in range(100)]


def test_parts_as_an_object_pass_on_vertex_with_a_warning() -> None:
    body = {"contents": [{"parts": {"text": 5}, "role": "user"}]}
    found = list(body_check("vertex", "GenerateContentRequest", {})(body))
    assert [(p.severity, p.rule, p.path) for p in found] == [
        ("warning", "parts-object", ".contents[0].parts"),
        ("error", "wrong-type", ".contents[0].parts.text"),
    ]


def test_a_rule_is_held_against_the_message_it_names_wherever_that_stands() -> None:
    def quiet(part: Any) -> list[Problem]:
        loud = part.get("text") == "LOUD"
        return [Problem("warning", "loud", ".text", "too loud")] if loud else []

    body = {"contents": [{"parts": [{"text": "a"}, {"text": "LOUD"}]}]}
    check = body_check("gemini", "GenerateContentRequest", {"Part": quiet})
    assert [problem.path for problem in check(body)] == [".contents[0].parts[1].text"]
    assert list(check({"contents": CONTENTS})) == []


def test_a_problem_reads_where_what_and_what_to_do() -> None:
    problem = Problem("error", "misplaced-field", ".a", "unknown field", "did you mean b.a?")
    assert str(problem.under("$.request")) == "$.request.a: unknown field; did you mean b.a?"
    whole = replace(problem.under("$.request"), line=17, key="r-0042")
    assert str(whole) == ("line 17, key 'r-0042', $.request.a: unknown field; did you mean b.a?")
    assert str(replace(whole, remedy=None, key=None)) == "line 17, $.request.a: unknown field"


def test_the_two_services_are_held_to_tables_of_their_own() -> None:
    body = {"contents": CONTENTS, "labels": {"a": "b"}}
    assert list(body_check("vertex", "GenerateContentRequest", {})(body)) == []
    [problem] = problems(body)
    assert (problem.rule, problem.path) == ("other-service", ".labels")
    assert field_table("gemini").revision == "20251218"
