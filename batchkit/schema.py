"""A schema for answers: as the service's responseSchema, as Arrow types, and as a check."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from batchkit import jsonl
from batchkit.errors import SetupError
from batchkit.fields import field_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["answer_type", "answer_value", "mismatch", "response_schema"]

# Keywords that say nothing about the answer, and those that need another way to say it.
_SILENT = frozenset({"$schema", "$id", "$defs", "definitions", "$comment", "examples"})
_REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "oneOf": "use anyOf",
        "allOf": "merge the schemas into one",
        "patternProperties": "use a list of objects with a name and a value",
        "additionalProperties": "use a list of objects with a name and a value",
        "const": "use enum with one text",
    }
)


def response_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The REST API's `responseSchema` for a JSON Schema; one that is REST already comes back equal.

    References are inlined, a null type becomes `nullable`, properties keep their order. A keyword
    the service has not is a SetupError, never a silent drop. https://ai.google.dev/api/caching#Schema
    """
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    return _Conversion(definitions).convert(schema, "$", ())


class _Conversion:
    """One schema on its way to REST; `definitions` are what its references name."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._known = field_table("gemini").message("Schema") or {}

    def convert(self, schema: Any, path: str, above: tuple[str, ...]) -> dict[str, Any]:
        if not jsonl.is_object(schema):
            message = f"schema {path}: {schema!r} is not an object"
            raise SetupError(message)
        if "$ref" in schema:
            return self._inline(schema, path, above)
        plain: dict[str, Any] = {}
        for name, value in schema.items():
            if name in _SILENT or (name == "additionalProperties" and value is False):
                continue
            self._check_keyword(name, value, path)
            plain[name] = self._value(name, value, f"{path}.{name}", above)
        return _tidied(plain)

    def _value(self, name: str, value: Any, path: str, above: tuple[str, ...]) -> Any:
        if name == "properties":
            return {key: self.convert(item, f"{path}.{key}", above) for key, item in value.items()}
        if name == "items":
            return self.convert(value, path, above)
        if name == "anyOf":
            return [self.convert(item, f"{path}[{i}]", above) for i, item in enumerate(value)]
        return value

    def _inline(
        self, schema: Mapping[str, Any], path: str, above: tuple[str, ...]
    ) -> dict[str, Any]:
        reference = str(schema["$ref"])
        name = reference.rpartition("/")[2]
        if name not in self._definitions or name in above:
            why = "it refers to itself" if name in above else "it is not defined"
            message = f"schema {path}: {reference} cannot be inlined: {why}"
            raise SetupError(message)
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return self.convert({**self._definitions[name], **beside}, path, (*above, name))

    def _check_keyword(self, name: str, value: Any, path: str) -> None:
        if name not in self._known:
            remedy = _REMEDIES.get(name, "leave it out, or say it in the description")
            message = f"schema {path}.{name}: the service does not know this keyword; {remedy}"
            raise SetupError(message)
        if name == "enum" and not all(isinstance(item, str) for item in value if item is not None):
            message = f"schema {path}.enum: the service takes texts only"
            raise SetupError(message)


def _tidied(plain: dict[str, Any]) -> dict[str, Any]:
    """REST spelling of types, `nullable` for null branches, and the order of properties."""
    kinds = plain.get("type")
    listed = kinds if jsonl.is_list(kinds) else [kinds] if kinds else []
    names = [str(kind).upper() for kind in listed]
    if "NULL" in names and len(names) > 1:
        plain["nullable"] = True
        names.remove("NULL")
    if len(names) == 1:
        plain["type"] = names[0]
    elif names:
        del plain["type"]
        plain["anyOf"] = [{"type": name} for name in names]
    if "properties" in plain:
        plain.setdefault("propertyOrdering", list(plain["properties"]))
    return _without_null_branch(plain)


def _without_null_branch(plain: dict[str, Any]) -> dict[str, Any]:
    branches = [branch for branch in plain.get("anyOf", ()) if branch.get("type") != "NULL"]
    if len(branches) == len(plain.get("anyOf", ())):
        return plain
    rest = {key: value for key, value in plain.items() if key != "anyOf"}
    if len(branches) == 1:
        return {**branches[0], **rest, "nullable": True}
    return {**rest, "anyOf": branches, "nullable": True}


def answer_type(schema: Mapping[str, Any]) -> pa.DataType:
    """The Arrow type of answers to a responseSchema; free-form parts are JSON text."""
    if schema.get("type") == "OBJECT" and schema.get("properties"):
        properties = schema["properties"]
        names = schema.get("propertyOrdering", list(properties))
        ordered = [name for name in names if name in properties]
        rest = [name for name in properties if name not in ordered]
        return pa.struct([pa.field(name, answer_type(properties[name])) for name in ordered + rest])
    if schema.get("type") == "ARRAY" and schema.get("items"):
        return pa.list_(answer_type(schema["items"]))
    return _SCALARS.get(schema.get("type", ""), pa.string())


def answer_value(value: Any, schema: Mapping[str, Any]) -> Any:
    """A checked answer as `answer_type` holds it: free-form parts become JSON text."""
    if value is None:
        return None
    kind = str(schema.get("type"))
    if kind == "OBJECT" and schema.get("properties"):
        return {
            name: answer_value(value.get(name), inner)
            for name, inner in schema["properties"].items()
        }
    if kind == "ARRAY" and schema.get("items"):
        return [answer_value(item, schema["items"]) for item in value]
    if kind in _SCALARS:
        turn = _EXACT.get(kind)
        return turn(value) if turn else value
    return jsonl.dumps(value).decode()


def mismatch(value: Any, schema: Mapping[str, Any], path: str = "$") -> str | None:
    """Where and why an answer does not fit a responseSchema; None when it does."""
    if value is None:
        return None if schema.get("nullable") else f"{path} is null"
    branches = schema.get("anyOf")
    if branches:
        reasons = [mismatch(value, branch, path) for branch in branches]
        return None if None in reasons else reasons[0]
    expected = schema.get("type")
    fits = _FITS.get(str(expected))
    if fits is not None and not fits(value):
        return f"{path} is not {str(expected).lower()}"
    if schema.get("enum") and value not in schema["enum"]:
        return f"{path} is none of the enum's values"
    return _inner_mismatch(value, schema, path)


def _inner_mismatch(value: Any, schema: Mapping[str, Any], path: str) -> str | None:
    inner: list[str | None] = []
    if jsonl.is_object(value):
        inner += [
            f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value
        ]
        properties = schema.get("properties", {})
        inner += [
            mismatch(item, properties[name], f"{path}.{name}")
            for name, item in value.items()
            if name in properties and (item is not None or name in schema.get("required", ()))
        ]
    if jsonl.is_list(value) and schema.get("items"):
        inner += [mismatch(item, schema["items"], f"{path}[{i}]") for i, item in enumerate(value)]
    return next((reason for reason in inner if reason), None)


def _is_integer(value: Any) -> bool:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


_SCALARS: Mapping[str, pa.DataType] = MappingProxyType(
    {"STRING": pa.string(), "INTEGER": pa.int64(), "NUMBER": pa.float64(), "BOOLEAN": pa.bool_()}
)
# JSON writes 3.0 and 3 as it likes; the column's type decides.
_EXACT: Mapping[str, Callable[[Any], Any]] = MappingProxyType({"INTEGER": int, "NUMBER": float})
_FITS: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "STRING": _is_text,
        "INTEGER": _is_integer,
        "NUMBER": _is_number,
        "BOOLEAN": _is_boolean,
        "OBJECT": jsonl.is_object,
        "ARRAY": jsonl.is_list,
    }
)
