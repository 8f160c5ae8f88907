from __future__ import annotations

from typing import Any

from batchkit.emulator.jsonschema import rest_schema
from batchkit.emulator.structure import Draws, fitting_value


def converted_values(schema: dict[str, Any]) -> list[Any]:
    converted = rest_schema(schema)
    return [fitting_value(converted, Draws(seed, ["word"])) for seed in range(60)]


def test_types_lists_and_constants_of_json_schema_are_understood() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"]},
            "b": {"const": 7},
            "c": {"oneOf": [{"type": "boolean"}, {"type": "null"}]},
            "d": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 3},
        },
        "required": ["a", "b", "c", "d"],
    }
    drawn = converted_values(schema)
    assert {type(value["a"]) for value in drawn} == {str, type(None)}
    assert {value["b"] for value in drawn} == {7}
    assert {value["c"] for value in drawn} == {True, False, None}
    assert {value["d"] for value in drawn} == {1, 2}


def test_references_are_followed_and_recursion_ends() -> None:
    node = {
        "type": "object",
        "properties": {
            "name": {"$ref": "#/$defs/Name"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
            "parent": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
            "self": {"$ref": "#/$defs/Node"},
        },
        "required": ["name", "children", "parent"],
    }
    schema = {"$ref": "#/$defs/Node", "$defs": {"Node": node, "Name": {"type": "string"}}}
    for value in converted_values(schema):
        assert list(value) == ["name", "children", "parent"]
        assert isinstance(value["name"], str)
        assert value["children"] == []
        assert value["parent"] is None


def test_numbers_stay_inside_bounds_that_exclude() -> None:
    schema = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
    drawn = converted_values(schema)
    assert all(0 < value < 1 for value in drawn)
    assert len(set(drawn)) > 10
    both = {"type": "integer", "minimum": 5, "exclusiveMinimum": 2.5, "exclusiveMaximum": 7}
    assert set(converted_values(both)) == {5, 6}


def test_the_first_items_may_each_have_a_schema() -> None:
    first = [{"type": "integer"}, {"type": "boolean"}]
    closed = {"type": "array", "prefixItems": first, "items": False}
    for value in converted_values(closed):
        assert [type(item) for item in value] == [int, bool]
    open_ended = {"type": "array", "prefixItems": first, "items": {"type": "null"}, "minItems": 4}
    for value in converted_values(open_ended):
        assert [type(item) for item in value[:4]] == [int, bool, type(None), type(None)]


def test_true_is_any_value_and_false_is_none() -> None:
    schema = {"type": "object", "properties": {"a": True, "b": False}, "required": ["a"]}
    assert {tuple(value) for value in converted_values(schema)} == {("a",)}
    assert converted_values({"type": "array", "items": False}) == [[]] * 60


def test_a_reference_may_lead_to_any_place_in_the_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "count": {"type": "integer"},
            "again": {"$ref": "#/properties/count"},
            "whole": {"$ref": "#"},
        },
        "required": ["count", "again"],
    }
    for value in converted_values(schema):
        assert isinstance(value["again"], int)
        assert "whole" not in value.get("whole", {})


def test_what_all_of_a_list_say_holds_together() -> None:
    schema = {
        "allOf": [{"$ref": "#/$defs/Level"}],
        "description": "as pydantic writes a field with a default",
        "$defs": {"Level": {"type": "string", "enum": ["low", "high"]}},
    }
    assert set(converted_values(schema)) == {"low", "high"}
    assert set(converted_values({"allOf": [{"type": "integer"}, {"enum": [1, 2]}]})) == {1, 2}


def test_an_order_of_properties_is_kept() -> None:
    properties = {"a": {"type": "integer"}, "b": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": ["a", "b"]}
    for ordering in (["b", "a"], ["a", "b"]):
        drawn = converted_values(schema | {"propertyOrdering": ordering})
        assert all(list(value) == ordering for value in drawn)
