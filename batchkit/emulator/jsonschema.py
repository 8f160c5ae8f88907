"""A plain JSON Schema (`responseJsonSchema`) as the REST Schema of `responseSchema`.

https://ai.google.dev/gemini-api/docs/structured-output#json_schema_support
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

__all__ = ["rest_schema"]

Json: TypeAlias = dict[str, Any]

_SAME = ("enum", "format", "required", "minItems", "maxItems", "minLength", "maxLength")
_BOUNDS = {
    "minimum": ("minimum", 0),
    "maximum": ("maximum", 0),
    "exclusiveMinimum": ("minimum", 1),
    "exclusiveMaximum": ("maximum", -1),
}


def rest_schema(schema: Json) -> Json:
    """The REST Schema that says the same: `$ref`, `const`, `oneOf` and type lists are resolved.

    Where a schema contains itself it ends: in the other branch of an `anyOf`, in an empty list, or
    in a property left out.
    """
    definitions: Json = schema.get("$defs") or schema.get("definitions") or {}
    return _Conversion(definitions, frozenset()).converted(schema) or {}


@dataclass(frozen=True, slots=True)
class _Conversion:
    """A walk down a schema; `open` are the references it is inside of."""

    definitions: Json
    open: frozenset[str]

    def converted(self, schema: Json) -> Json | None:
        """None for a reference to what the walk is inside of."""
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            if name in self.open:
                return None
            return replace(self, open=self.open | {name}).converted(self.definitions.get(name, {}))
        branches: list[Json] | None = schema.get("anyOf") or schema.get("oneOf")
        if branches:
            return {"anyOf": [kept for kept in map(self.converted, branches) if kept is not None]}
        types = schema.get("type", "")
        if types.__class__ is list:
            return {"anyOf": [self._typed(schema, str(name)) for name in types]}
        return self._typed(schema, str(types))

    def _typed(self, schema: Json, type_name: str) -> Json:
        converted = {name: schema[name] for name in _SAME if name in schema}
        if type_name:
            converted["type"] = type_name.upper()
        if type_name == "null":
            return {"type": "NULL"}
        if "const" in schema:
            converted["enum"] = [schema["const"]]
        for name, (bound, shift) in _BOUNDS.items():
            if name in schema:
                converted[bound] = schema[name] + shift
        if "items" in schema:
            items = self.converted(schema["items"])
            converted |= {"items": items} if items is not None else {"maxItems": 0}
        if "properties" in schema:
            kept = {name: self.converted(value) for name, value in schema["properties"].items()}
            kept = {name: value for name, value in kept.items() if value is not None}
            converted |= {"properties": kept, "propertyOrdering": list(kept)}
        return converted
