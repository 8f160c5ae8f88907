from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.errors import SetupError
from batchkit.fields import field_table
from batchkit.schema import answer_type, answer_value, mismatch, response_schema

REST = {
    "type": "OBJECT",
    "properties": {
        "mood": {"type": "STRING", "enum": ["happy", "sad"]},
        "score": {"type": "INTEGER", "minimum": 0, "maximum": 10, "nullable": True},
        "tags": {"type": "ARRAY", "items": {"type": "STRING"}, "maxItems": "3"},
        "seller": {
            "type": "OBJECT",
            "properties": {"name": {"type": "STRING"}, "rating": {"type": "NUMBER"}},
            "required": ["name"],
            "propertyOrdering": ["rating", "name"],
        },
    },
    "required": ["mood", "tags"],
    "propertyOrdering": ["mood", "score", "tags", "seller"],
}
GOOD = {"mood": "sad", "score": 4, "tags": ["a"], "seller": {"name": "Bo", "rating": 4}}


def test_a_rest_schema_comes_back_equal() -> None:
    """https://ai.google.dev/api/caching#Schema"""
    before = json.dumps(REST)
    assert response_schema(REST) == REST
    assert json.dumps(REST) == before


def test_a_json_schema_becomes_one_that_the_service_reads() -> None:
    """As pydantic writes it, https://docs.pydantic.dev/latest/concepts/json_schema/."""
    schema = {
        "$defs": {
            "Seller": {
                "properties": {"name": {"title": "Name", "type": "string"}},
                "required": ["name"],
                "title": "Seller",
                "type": "object",
            },
            "Mood": {"enum": ["happy", "sad"], "title": "Mood", "type": "string"},
        },
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "additionalProperties": False,
        "properties": {
            "mood": {"$ref": "#/$defs/Mood", "description": "overall"},
            "score": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
            "sellers": {"items": {"$ref": "#/$defs/Seller"}, "type": "array"},
            "size": {"type": ["number", "string", "null"]},
        },
        "required": ["mood"],
        "type": "object",
    }
    assert response_schema(schema) == {
        "type": "OBJECT",
        "properties": {
            "mood": {
                "type": "STRING",
                "enum": ["happy", "sad"],
                "title": "Mood",
                "description": "overall",
            },
            "score": {"type": "INTEGER", "nullable": True, "default": None},
            "sellers": {
                "type": "ARRAY",
                "items": {
                    "type": "OBJECT",
                    "title": "Seller",
                    "properties": {"name": {"title": "Name", "type": "STRING"}},
                    "required": ["name"],
                    "propertyOrdering": ["name"],
                },
            },
            "size": {"anyOf": [{"type": "NUMBER"}, {"type": "STRING"}], "nullable": True},
        },
        "required": ["mood"],
        "propertyOrdering": ["mood", "score", "sellers", "size"],
    }


def test_snake_case_keywords_of_rest_are_read_as_their_camel_case() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"a": {"any_of": [{"type": "string"}, {"type": "null"}]}},
        "property_ordering": ["a"],
        "max_properties": 2,
    }
    assert response_schema(schema) == {
        "type": "OBJECT",
        "properties": {"a": {"type": "STRING", "nullable": True}},
        "propertyOrdering": ["a"],
        "maxProperties": 2,
    }


def test_a_null_among_the_enum_s_values_makes_it_nullable() -> None:
    schema = {"type": ["string", "null"], "enum": ["a", "b", None]}
    assert response_schema(schema) == {"type": "STRING", "enum": ["a", "b"], "nullable": True}


@pytest.mark.parametrize(
    "schema, said",
    [
        ({"oneOf": [{"type": "string"}]}, r"\$.oneOf: the service does not know .*; use anyOf"),
        ({"properties": {"a": {"const": "x"}}}, r"\$.properties.a.const: .* enum with one text"),
        ({"additionalProperties": {"type": "string"}}, "a list of objects with a name and a value"),
        ({"additionalProperties": True}, r"\$.additionalProperties"),
        ({"items": {"not": {}}}, r"\$.items.not: .*leave it out"),
        ({"enum": [1, 2]}, r"\$.enum: the service takes texts only"),
        ({"enum": "ab"}, r"\$.enum: 'ab' is not a list"),
        ({"anyOf": {"type": "string"}}, r"\$.anyOf: .* is not a list"),
        ({"properties": ["a"]}, r"\$.properties: .* is not an object"),
        ({"items": [{"type": "string"}]}, r"\$.items: .* is not an object"),
        ({"items": True}, r"\$.items: True is not an object"),
        ({"$ref": "#/$defs/A"}, r"#/\$defs/A cannot be inlined: it is not defined"),
        ({"$ref": "#/$defs/A", "$defs": {"A": True}}, "True is not an object"),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"items": {"$ref": "#/$defs/A"}}}},
            "cannot be inlined: it refers to itself",
        ),
        ({"type": ["string", "integer"], "anyOf": []}, "say them in anyOf alone"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_what_the_service_cannot_hold_an_answer_to_is_an_error_that_says_where(
    schema: dict[str, Any], said: str
) -> None:
    with pytest.raises(SetupError, match=said):
        response_schema(schema)


def test_a_definition_may_be_used_twice_side_by_side() -> None:
    one = {"$ref": "#/definitions/Name"}
    schema = {
        "definitions": {"Name": {"type": "string"}},
        "type": "object",
        "properties": {"first": one, "last": one},
    }
    properties = response_schema(schema)["properties"]
    assert properties == {"first": {"type": "STRING"}, "last": {"type": "STRING"}}


def test_answers_have_columns_in_the_order_of_the_schema() -> None:
    seller = pa.struct([("rating", pa.float64()), ("name", pa.string())])
    assert answer_type(REST) == pa.struct(
        [
            ("mood", pa.string()),
            ("score", pa.int64()),
            ("tags", pa.list_(pa.string())),
            ("seller", seller),
        ]
    )


def test_an_ordering_that_names_some_fields_or_strangers_loses_none() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"a": {"type": "STRING"}, "b": {"type": "BOOLEAN"}},
        "propertyOrdering": ["b", "stranger", "b"],
    }
    assert answer_type(schema) == pa.struct([("b", pa.bool_()), ("a", pa.string())])


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "OBJECT"},
        {"type": "OBJECT", "properties": {}},
        {"type": "ARRAY"},
        {"type": "ARRAY", "items": {}},
        {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]},
        {"type": "TYPE_UNSPECIFIED"},
    ],
    ids=json.dumps,
)
def test_a_part_of_which_nothing_is_said_is_json_text(schema: dict[str, Any]) -> None:
    assert answer_type(schema) == pa.string()
    value = {"ARRAY": [1, "é"], "OBJECT": {"b": 1, "a": None}}.get(str(schema.get("type")), "x")
    assert mismatch(value, schema) is None
    assert json.loads(answer_value(value, schema)) == value


@pytest.mark.parametrize(
    "value",
    [2**64, float("inf"), json.loads('{"a":' * 250 + "1" + "}" * 250)],
    ids=["integer", "infinity", "depth"],
)
def test_free_form_json_that_cannot_be_written_does_not_fit(value: Any) -> None:
    for schema, held in (({}, value), ({"type": "OBJECT"}, {"a": value})):
        assert mismatch(held, schema) is not None


@pytest.mark.parametrize(
    "change, where",
    [
        ({}, None),
        ({"score": None}, None),
        ({"score": 4.0}, None),
        ({"more": {"of": ["anything"]}}, None),
        ({"seller": None}, None),
        ({"tags": []}, None),
        ({"mood": "angry"}, "$.mood is none of the enum's values"),
        ({"mood": 7}, "$.mood is not string"),
        ({"mood": None}, "$.mood is null"),
        ({"tags": None}, "$.tags is null"),
        ({"tags": "a"}, "$.tags is not array"),
        ({"tags": ["a", None]}, "$.tags[1] is null"),
        ({"tags": ["a", 1]}, "$.tags[1] is not string"),
        ({"tags": ["a"] * 4}, "$.tags does not keep to maxItems 3"),
        ({"score": 4.5}, "$.score is not integer"),
        ({"score": "4"}, "$.score is not integer"),
        ({"score": True}, "$.score is not integer"),
        ({"score": 11}, "$.score does not keep to maximum 10"),
        ({"score": -1}, "$.score does not keep to minimum 0"),
        ({"seller": {}}, "$.seller.name is missing"),
        ({"seller": ["Bo"]}, "$.seller is not object"),
        ({"seller": {"name": "Bo", "rating": "4"}}, "$.seller.rating is not number"),
        ({"seller": {"name": "Bo", "rating": True}}, "$.seller.rating is not number"),
    ],
    ids=repr,
)
def test_an_answer_is_held_against_the_schema(change: dict[str, Any], where: str | None) -> None:
    assert mismatch({**GOOD, **change}, REST) == where


@pytest.mark.parametrize("value", [None, [], "{}", 1, [GOOD]])
def test_an_answer_that_is_no_object_does_not_fit_one(value: Any) -> None:
    assert mismatch(value, REST) is not None


@pytest.mark.parametrize(
    "value, schema, where",
    [
        ("ab", {"type": "STRING", "minLength": 3}, "$ does not keep to minLength 3"),
        ("👩‍👩‍👧", {"type": "STRING", "maxLength": 5}, None),
        ("", {"type": "STRING", "minLength": "0"}, None),
        ([1], {"type": "ARRAY", "minItems": 2}, "$ does not keep to minItems 2"),
        ({"a": 1}, {"type": "OBJECT", "maxProperties": 0}, "$ does not keep to maxProperties 0"),
        (0.5, {"type": "NUMBER", "minimum": 0.25, "maximum": 0.5}, None),
        (2**53 + 1, {"type": "INTEGER", "maximum": 2**53}, f"$ does not keep to maximum {2**53}"),
        ("x", {"type": "STRING", "minimum": 3}, None),
        (5, {"type": "INTEGER", "minimum": None, "maximum": "many"}, None),
    ],
    ids=repr,
)
def test_bounds_are_kept(value: Any, schema: dict[str, Any], where: str | None) -> None:
    assert mismatch(value, schema) == where


@pytest.mark.parametrize(
    "schema, takes_null",
    [
        ({"type": "STRING"}, False),
        ({"type": "STRING", "nullable": False}, False),
        ({"type": "STRING", "nullable": True}, True),
        ({"type": "NULL"}, True),
        ({"enum": ["a"]}, False),
        ({}, True),
        ({"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}, False),
        ({"anyOf": [{"type": "STRING", "nullable": True}, {"type": "INTEGER"}]}, True),
        ({"anyOf": [{"type": "STRING"}], "nullable": True}, True),
    ],
    ids=repr,
)
def test_null_fits_where_the_schema_takes_it(schema: dict[str, Any], *, takes_null: bool) -> None:
    assert (mismatch(None, schema) is None) == takes_null
    assert answer_value(None, schema) is None


def test_a_type_of_null_takes_nothing_else() -> None:
    assert mismatch("a", {"type": "NULL"}) == "$ is not null"


def test_of_several_branches_one_must_fit_and_what_stands_beside_them_too() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"a": {"type": "INTEGER"}},
        "anyOf": [{"type": "OBJECT", "required": ["a"]}, {"type": "STRING"}],
    }
    assert mismatch({"a": 1}, schema) is None
    assert mismatch("text", schema) == "$ is not object"
    assert mismatch({}, schema) == "$.a is missing"
    assert mismatch({"a": "1"}, schema) == "$.a is not integer"


@pytest.mark.parametrize(
    "value, kind, held",
    [
        (3.0, "INTEGER", 3),
        (2**63 - 1, "INTEGER", 2**63 - 1),
        (-(2**63), "INTEGER", -(2**63)),
        (3, "NUMBER", 3.0),
        (2**64 - 1, "NUMBER", float(2**64 - 1)),
        ("é", "STRING", "é"),
        (False, "BOOLEAN", False),
    ],
    ids=repr,
)
def test_a_value_is_of_its_column_s_type(value: Any, kind: str, held: Any) -> None:
    schema = {"type": kind}
    assert mismatch(value, schema) is None
    column = pa.array([answer_value(value, schema)], answer_type(schema))
    assert column.to_pylist() == [held]


@pytest.mark.parametrize(
    "value, kind",
    [
        (2**63, "INTEGER"),
        (-(2**63) - 1, "INTEGER"),
        (float(2**63), "INTEGER"),
        (1e300, "INTEGER"),
        (10**400, "NUMBER"),
        (float("inf"), "NUMBER"),
        (float("nan"), "NUMBER"),
        (0, "BOOLEAN"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_value_that_its_column_cannot_hold_does_not_fit(value: Any, kind: str) -> None:
    assert mismatch(value, {"type": kind}) == f"$ is not {kind.lower()}"


def test_fields_without_an_answer_are_null_and_strangers_have_no_column() -> None:
    value = {"mood": "sad", "tags": [], "stranger": 1}
    assert answer_value(value, REST) == {"mood": "sad", "score": None, "tags": [], "seller": None}


SCHEMA_KEYWORDS = set(field_table("gemini").message("Schema") or {})


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, min_size=1)
    return st.builds(
        lambda named, required: {
            "type": "object",
            "properties": named,
            "required": [name for name in required if name in named],
        },
        properties,
        st.lists(st.sampled_from(["a", "b", "c"]), unique=True),
    )


LEAVES = st.sampled_from(
    [
        *({"type": kind} for kind in ("string", "integer", "number", "boolean", "object")),
        *({"type": [kind, "null"]} for kind in ("string", "integer", "number")),
        {"type": "string", "enum": ["x", "y"]},
        {"type": "integer", "minimum": -1, "maximum": 1},
        {"anyOf": [{"type": "string"}, {"type": "null"}, {"type": "array", "items": {}}]},
        {},
    ]
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: objects(inner) | inner.map(lambda item: {"type": "array", "items": item}),
    max_leaves=6,
)
ANSWERS = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, -1, 2**63, 2**64, 1e300, 0.5, 3.0, "x", "y", "", "é"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(SCHEMAS, ANSWERS)
def test_an_answer_fits_or_says_why_and_one_that_fits_has_its_column(
    schema: dict[str, Any], answer: Any
) -> None:
    rest = response_schema(schema)
    assert set(rest) <= SCHEMA_KEYWORDS
    assert response_schema(rest) == rest
    reason = mismatch(answer, rest)
    if reason is None:
        column = pa.array([answer_value(answer, rest)], answer_type(rest))
        assert (column.null_count == 1) == (answer is None)
    else:
        assert reason.startswith("$")
