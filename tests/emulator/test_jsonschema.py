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
