"""A plain JSON Schema (`responseJsonSchema`) as the REST Schema of `responseSchema`.

https://ai.google.dev/gemini-api/docs/structured-output#json_schema_support
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["rest_schema"]

Json: TypeAlias = dict[str, Any]

_SAME = frozenset(
    {
        *("enum", "format", "required", "minimum", "maximum"),
        *("minItems", "maxItems", "minLength", "maxLength"),
    }
)
_EXCLUSIVE = {
    "exclusiveMinimum": ("minimum", math.inf, max),
    "exclusiveMaximum": ("maximum", -math.inf, min),
}
# References can make a short schema say much, and this much is nobody's.
_MOST_SCHEMAS = 10_000


def rest_schema(schema: Json) -> Json:
    """The REST Schema that says the same: `$ref`, `const`, `oneOf` and type lists are resolved.

    Where a schema contains itself it ends: in the other branch of an `anyOf`, in an empty list, or
    in a property left out. `prefixItems` is kept, which a REST Schema does not have. LookupError
    for a reference to nothing, ValueError for a schema that is too large.
    """
    return _Conversion(schema, frozenset(), iter(range(_MOST_SCHEMAS))).converted(schema) or {}


@dataclass(frozen=True, slots=True)
class _Conversion:
    """A walk down from a `root`; `open` are the references it is inside of, `left` its steps."""

    root: Json
    open: frozenset[str]
    left: Iterator[int]

    def converted(self, schema: Any) -> Json | None:
        """None for what no value can be: `false`, and a reference to what the walk is inside of."""
        if next(self.left, None) is None:
            message = f"it has more than {_MOST_SCHEMAS} schemas in it"
            raise ValueError(message)
        if isinstance(schema, bool):
            return {} if schema else None
        for part in schema.get("allOf", ()):
            schema = {**schema, **part}
        if "$ref" in schema:
            return self._referred(schema["$ref"])
        branches: list[Any] | None = schema.get("anyOf") or schema.get("oneOf")
        if branches:
            return {"anyOf": [kept for kept in map(self.converted, branches) if kept is not None]}
        types: Any = schema.get("type", "")
        if types.__class__ is list:
            return {"anyOf": [self._typed(schema, name) for name in types]}
        return self._typed(schema, types)

    def _referred(self, reference: str) -> Json | None:
        if reference in self.open:
            return None
        place, *names = reference.split("/")
        if place != "#":
            message = f"{reference} is no place in the schema"
            raise LookupError(message)
        target: Any = self.root
        for name in names:
            target = target[name]
        return replace(self, open=self.open | {reference}).converted(target)

    def _typed(self, schema: Json, type_name: str) -> Json:
        if type_name == "null":
            return {"type": "NULL"}
        converted = {name: value for name, value in schema.items() if name in _SAME}
        if type_name:
            converted["type"] = type_name.upper()
        if "const" in schema:
            converted["enum"] = [schema["const"]]
        for name, (bound, inside, tighter) in _EXCLUSIVE.items():
            if name in schema:
                nearest = math.nextafter(schema[name], inside)
                converted[bound] = tighter(converted.get(bound, nearest), nearest)
        return converted | self._items(schema) | self._properties(schema)

    def _items(self, schema: Json) -> Json:
        first = [self.converted(item) for item in schema.get("prefixItems", ())]
        converted: Json = {"prefixItems": [item or {} for item in first]} if first else {}
        if "items" in schema:
            items = self.converted(schema["items"])
            converted |= {"maxItems": len(first)} if items is None else {"items": items}
        return converted

    def _properties(self, schema: Json) -> Json:
        if "properties" not in schema:
            return {}
        kept = {name: self.converted(value) for name, value in schema["properties"].items()}
        kept = {name: value for name, value in kept.items() if value is not None}
        ordering: list[str] = schema.get("propertyOrdering", list(kept))
        return {"properties": kept, "propertyOrdering": ordering}
