from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from google.cloud.bigquery import SchemaField
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import batchkit as bk
from batchkit.errors import CapabilityError
from batchkit.fitting import fitted
from batchkit.pushdown.fitting import answer_fields
from batchkit.pushdown.outcomes import answers_sql, outcomes_sql
from batchkit.wire import decode_item

if TYPE_CHECKING:
    from batchkit.specs.spec import Spec
    from tests.warehouse import Warehouse

MODEL = "gemini-3.5-flash"
SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "description": "what it's called"},
        "count": {"type": "integer"},
        "score": {"type": ["number", "null"]},
        "flag": {"type": "boolean"},
        "mood": {"type": "string", "enum": ["glad", "it's \\ so"]},
        "größe": {"type": "integer", "nullable": True},
    },
    "required": ["flag", "title", "score"],
}
SPEC = bk.generate(MODEL, "{text}", schema=SCHEMA)
NOT_JSON = "the answer is not JSON"
GOOD = '{"title": "a", "score": 1, "flag": true'


def line(text: str, key: str, reason: str = "STOP") -> dict[str, Any]:
    """The row of an output table that answers with a text."""
    candidate = {"content": {"parts": [{"text": text}]}, "finishReason": reason}
    return {"key": key, "response": json.dumps({"candidates": [candidate]}), "status": ""}


def by_rules(item: dict[str, Any], spec: Spec) -> tuple[Any, ...]:
    said, answer = fitted(decode_item(item), spec)
    return said.status, said.text, short(said.error_message), answer


def short(message: str | None) -> str | None:
    """Why a text is no JSON, the parser says in its own words."""
    return NOT_JSON if message and message.startswith(NOT_JSON) else message


def by_sql(
    bigquery: Warehouse, items: list[dict[str, Any]], spec: Spec
) -> dict[str, tuple[Any, ...]]:
    schema = [SchemaField(name, "STRING") for name in ("key", "response", "status")]
    bigquery.load(items, "answers", schema=schema, write_disposition="WRITE_TRUNCATE")
    fields = answer_fields(spec.answer_schema)
    sql = outcomes_sql(answers_sql(bigquery.sql("answers"), "STRING"), fields)
    found: dict[str, tuple[Any, ...]] = {}
    for row in bigquery.ask(sql):
        answer = {field.name: row[field.column] for field in fields}
        kept = answer if row["is_fitted"] else None
        assert row["is_fitted"] or set(answer.values()) == {None}
        told = (row["status"], row["response"], row["error_message"], kept)
        found[row["batchkit_key"]] = told
    return found


def assert_fitted_alike(bigquery: Warehouse, texts: list[str], spec: Spec = SPEC) -> None:
    items = [line(text, f"{number} {text[:50]}") for number, text in enumerate(texts)]
    expected = {item["key"]: by_rules(item, spec) for item in items}
    assert by_sql(bigquery, items, spec) == expected


SHAPES = [
    *("{}", "null", " null\n", "[]", '"text"', "1", "true", "nope", "{", "[1", '{"title": "a'),
    *("[1, 2]", "[{}]", GOOD, f"{GOOD}}}", f" \n{GOOD}}}\t", f"{GOOD}}}}}", f"{GOOD}}} and more"),
    *(f"{GOOD},}}", "{,}", '{"title"}', '{"title":}', "{1: 2}", "{'title': 'a'}", "[}", "{]"),
    *(f"```json\n{GOOD}}}\n```", f"\ufeff{GOOD}}}", f"{GOOD}}} // why", f"{GOOD}}}\x0c", "1 2"),
    *('"a" "b"', "[1 2]", '{"title": "a" "score": 1}', "undefined", "None", "TRUE", "-", "01"),
    *(".5", "5.", "1e", "+1", "0x10", "NaN", "Infinity", "-Infinity", "1_000", "nullnull"),
    *('"a\nb"', '"a\tb"', '"\x7f\u2028"', '"\\x"', '"\\u12"', '"\\u12G4"', '"\\"', '"a'),
]
VALUES: list[str] = [
    *("null", "true", "false", "0", "1", "-1", "-0", "1.0", "1.5", "-0.0", "1e3", "1E+2", "15e-1"),
    *("10e-1", "9007199254740993", "9007199254740993.0", "9223372036854775807"),
    *("9223372036854775808", "-9223372036854775808", "-9223372036854775809", "1e18", "1e19"),
    *("18446744073709551615", "18446744073709551616", "123456789012345678901234567890", "1e308"),
    *("0.1", "1e-7", "-1.7976931348623157e308", "NaN", "Infinity", "01", "1.", "[]", "{}", "[1]"),
    *('{"title": 1, "flag": "x"}', '[{"score": []}]', '[[[[["}"]]]]]', '["{", "]"]'),
    *('""', '"a"', '"1"', '"true"', '"null"', '"glad"', '"sad"', '"it\'s \\\\ so"', '"\\u0000"'),
    *('"\\n\\t\\"\\\\\\/\\u00e9\\ud83d\\ude00"', '"{\\"title\\": 2}"', '"a, \\"flag\\": 3"'),
    *('"東京 😀"', '"\u2028"', '" "', '"a\\"'),
]


def test_answers_of_every_shape_fit_as_they_do_row_by_row(bigquery: Warehouse) -> None:
    assert_fitted_alike(bigquery, SHAPES)


def test_every_value_is_taken_or_refused_by_its_field_s_type(bigquery: Warehouse) -> None:
    texts: list[str] = []
    for name in SCHEMA["properties"]:
        for value in VALUES:
            fields = {"title": '"a"', "score": "1", "flag": "true", name: value}
            told = [f'"{field}": {said}' for field, said in fields.items()]
            texts.append(f"{{{', '.join(told)}}}")
    assert_fitted_alike(bigquery, texts)


def test_which_field_is_named_when_several_are_wrong(bigquery: Warehouse) -> None:
    texts = [
        '{"score": 1}',
        '{"flag": null, "count": "x", "score": true}',
        '{"count": "x", "title": 1, "score": 1, "flag": 1}',
        '{"flag": 1, "title": 1, "score": "x", "count": 1.5}',
        '{"title": null, "flag": null, "score": null}',
        '{"title": "a", "flag": true, "score": null, "mood": "sad", "count": "x"}',
        '{"title": "a", "flag": true, "score": null, "größe": "x", "mood": "sad"}',
    ]
    assert_fitted_alike(bigquery, texts)


def test_of_a_field_named_twice_the_last_counts_at_the_place_of_the_first(
    bigquery: Warehouse,
) -> None:
    texts = [
        f'{GOOD}, "title": "b"}}',
        f'{GOOD}, "title": 1}}',
        f'{GOOD}, "title": 1, "title": "c"}}',
        f'{GOOD}, "t\\u0069tle": "by another spelling"}}',
        '{"count": 1, "flag": 2, "title": "a", "score": 1, "count": "x"}',
        f'{GOOD}, "count": 1, "count": null}}',
    ]
    assert_fitted_alike(bigquery, texts)


def test_fields_that_the_schema_does_not_name_are_no_fault(bigquery: Warehouse) -> None:
    texts = [
        f'{GOOD}, "more": {{"title": 1, "flag": [{{"title": 2}}]}}}}',
        f'{{"more": {{"title": "}}", "a": [[1, "]"], {{"flag": 0}}]}}, {GOOD[1:]}}}',
        f'{GOOD}, "": 1, "Title": 2, "title ": 3, "$.title": 4, "\\"title\\": 5": 6}}',
        f'{GOOD}, "more": {{"a": NaN}}}}',
        f'{GOOD}, "more": [1,]}}',
        f'{GOOD}, "more": [1, }}]',
        f'{GOOD}, "more": {"[" * 9}{"]" * 9}}}',
    ]
    assert_fitted_alike(bigquery, texts)


def test_what_is_nested_deeper_than_expressions_count_is_said_to_be(bigquery: Warehouse) -> None:
    text = f'{GOOD}, "more": {"[" * 10}{"]" * 10}}}'
    found = by_sql(bigquery, [line(text, "a")], SPEC)["a"]
    assert found == ("malformed", text, "the answer is nested deeper than SQL reads", None)


def test_only_an_answer_that_is_whole_is_held_against_a_schema(bigquery: Warehouse) -> None:
    media = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}}]}
    items = [line(text, f"{r} {text}", r) for r in ("MAX_TOKENS", "SAFETY") for text in ("{", "{}")]
    items += [{"key": "media", "response": json.dumps(media), "status": ""}]
    items += [{"key": "failed", "response": None, "status": "INTERNAL"}]
    items += [{"key": "nothing", "response": None, "status": ""}]
    items += [line("{}", "differing"), line("[]", "differing")]
    found = by_sql(bigquery, items, SPEC)
    assert found.pop("differing")[0] == "error"
    assert found == {item["key"]: by_rules(item, SPEC) for item in items[:-2]}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
FREE = st.recursive(
    SCALAR | st.floats(allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
NAME = st.sampled_from([*SCHEMA["properties"], "more"]) | TEXT
MEMBERS = st.lists(st.tuples(NAME, SCALAR | FREE), max_size=4)
FULL = st.fixed_dictionaries(
    {"title": TEXT, "score": st.floats(allow_nan=False) | st.none(), "flag": st.booleans()}
)


@st.composite
def written(draw: st.DrawFn) -> str:
    """An object in one of the ways that JSON can be written, its names not always different."""
    members = [*draw(FULL | st.just({})).items(), *draw(MEMBERS)]
    is_ascii, space = draw(st.booleans()), draw(st.sampled_from(["", " ", "\n  "]))
    told = [
        f"{json.dumps(name, ensure_ascii=is_ascii)}{space}:{space}"
        f"{json.dumps(value, ensure_ascii=is_ascii)}{space}"
        for name, value in draw(st.permutations(members))
    ]
    return f"{space}{{{space}{f',{space}'.join(told)}}}{space}"


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(written(), min_size=20, max_size=40))
def test_answers_of_any_fields_fit_as_they_do_row_by_row(
    bigquery: Warehouse, texts: list[str]
) -> None:
    assert_fitted_alike(bigquery, texts)


@pytest.mark.parametrize("properties, said", [
    ({"a": {"type": "object", "properties": {"b": {"type": "string"}}}}, "field 'a' is object"),
    ({"a": {"type": "array", "items": {"type": "string"}}}, "field 'a' is array"),
    ({"a": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}, "field 'a' is of several types"),
    ({"a": {}}, "field 'a' is of any type"),
    ({"a": {"type": "integer", "enum": ["1"]}}, "field 'a' is integer with an enum"),
    ({"a": {"type": "integer", "minimum": 1}}, "field 'a' has minimum"),
    ({"a": {"type": "string", "maxLength": 5}}, "field 'a' has maxLength"),
    ({"a b": {"type": "string"}}, "names are letters, digits and _"),
    ({"OK": {"type": "string"}}, "'ok' and 'OK' are one to BigQuery"),
])  # fmt: skip
def test_a_field_that_sql_does_not_check_alike_is_refused(
    properties: dict[str, Any], said: str
) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "string"}, **properties}}
    spec = bk.generate(MODEL, "{text}", schema=schema)
    with pytest.raises(CapabilityError, match=said):
        answer_fields(spec.answer_schema)


@pytest.mark.parametrize("schema, said", [
    ({"type": "string"}, "not an object of named fields"),
    ({"type": "object"}, "not an object of named fields"),
    ({"type": "array", "items": {"type": "string"}}, "not an object of named fields"),
    ({**SCHEMA, "type": ["object", "null"]}, "the schema has nullable"),
    ({**SCHEMA, "minProperties": 1}, "the schema has minProperties"),
    ({**SCHEMA, "required": ["nowhere"]}, "requires 'nowhere', which it does not describe"),
])  # fmt: skip
def test_a_schema_that_is_no_flat_object_is_refused(schema: dict[str, Any], said: str) -> None:
    spec = bk.generate(MODEL, "{text}", schema=schema)
    with pytest.raises(CapabilityError, match=said):
        answer_fields(spec.answer_schema)
