"""A schema for answers: as the service's responseSchema, as Arrow types, and as a check."""

from __future__ import annotations

import sys
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
_LARGEST = sys.float_info.max


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
        for spelling, value in schema.items():
            if spelling in _SILENT or (spelling == "additionalProperties" and value is False):
                continue
            name = self._keyword(spelling, value, path)
            plain[name] = self._value(name, value, f"{path}.{name}", above)
        if jsonl.is_list(plain.get("type")) and "anyOf" in plain:
            message = f"schema {path}: several types beside anyOf; say them in anyOf alone"
            raise SetupError(message)
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
        definition = self._definitions[name]
        if beside and jsonl.is_object(definition):
            definition = {**definition, **beside}
        return self.convert(definition, path, (*above, name))

    def _keyword(self, spelling: str, value: Any, path: str) -> str:
        """The REST API's name of a keyword, whose value is of the kind it takes."""
        if spelling not in self._known:
            remedy = _REMEDIES.get(spelling, "leave it out, or say it in the description")
            message = f"schema {path}.{spelling}: the service does not know this keyword; {remedy}"
            raise SetupError(message)
        name = self._known[spelling].name
        if name in _KINDS and not _KINDS[name](value):
            kind = "an object" if name == "properties" else "a list"
            message = f"schema {path}.{spelling}: {value!r} is not {kind}"
            raise SetupError(message)
        if name == "enum" and not all(isinstance(item, str) for item in value if item is not None):
            message = f"schema {path}.enum: the service takes texts only"
            raise SetupError(message)
        return name


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
    if None in plain.get("enum", ()):
        plain["enum"] = [item for item in plain["enum"] if item is not None]
        plain["nullable"] = True
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
        ordered = [name for name in schema.get("propertyOrdering", ()) if name in properties]
        names = dict.fromkeys([*ordered, *properties])
        return pa.struct([pa.field(name, answer_type(properties[name])) for name in names])
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
    """Where and why an answer does not fit a responseSchema; None when it does.

    Types, enums, required fields and bounds are looked at, patterns and formats are not. Fields
    that the schema does not name are no fault.
    """
    if value is None:
        return None if _takes_null(schema) else f"{path} is null"
    reasons = [mismatch(value, branch, path) for branch in schema.get("anyOf", ())]
    if reasons and None not in reasons:
        return reasons[0]
    expected = str(schema.get("type"))
    fits = _FITS.get(expected)
    if fits is not None and not fits(value):
        return f"{path} is not {expected.lower()}"
    if schema.get("enum") and value not in schema["enum"]:
        return f"{path} is none of the enum's values"
    return _out_of_bounds(value, schema, path) or _inner_mismatch(value, schema, path)


def _takes_null(schema: Mapping[str, Any]) -> bool:
    says_nothing = not any(schema.get(name) for name in ("type", "anyOf", "enum"))
    named = schema.get("nullable") or schema.get("type") == "NULL" or says_nothing
    return bool(named) or any(_takes_null(branch) for branch in schema.get("anyOf", ()))


def _out_of_bounds(value: Any, schema: Mapping[str, Any], path: str) -> str | None:
    for is_kind, size, least, most in _BOUNDS:
        if (least not in schema and most not in schema) or not is_kind(value):
            continue
        for name, sign in ((least, 1), (most, -1)):
            limit = _limit(schema.get(name))
            if limit is not None and sign * size(value) < sign * limit:
                return f"{path} does not keep to {name} {limit}"
    return None


def _limit(value: Any) -> Any:
    """A bound as a number; int64, as those of lengths are, may be text."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if _is_number(value) else None


def _inner_mismatch(value: Any, schema: Mapping[str, Any], path: str) -> str | None:
    bad = jsonl.unwritable(value, path) if _is_free_form(schema) else None
    if bad:
        return f"{bad[0]}: {bad[1]}"
    inner: list[str | None] = []
    if jsonl.is_object(value):
        required = schema.get("required", ())
        properties = schema.get("properties", {})
        inner += [f"{path}.{name} is missing" for name in required if name not in value]
        inner += [
            mismatch(item, properties[name], f"{path}.{name}")
            for name, item in value.items()
            if name in properties and (item is not None or name in required)
        ]
    if jsonl.is_list(value) and schema.get("items"):
        inner += [mismatch(item, schema["items"], f"{path}[{i}]") for i, item in enumerate(value)]
    return next((reason for reason in inner if reason), None)


def _is_free_form(schema: Mapping[str, Any]) -> bool:
    """Whether an answer is kept as JSON text, for want of anything said about its parts."""
    inside = {"OBJECT": "properties", "ARRAY": "items"}.get(str(schema.get("type")))
    return not schema.get(inside) if inside else schema.get("type") not in _SCALARS


def _is_integer(value: Any) -> bool:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= _LARGEST


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
        "NULL": lambda _: False,  # null itself is looked at before
        "STRING": _is_text,
        "INTEGER": _is_integer,
        "NUMBER": _is_number,
        "BOOLEAN": _is_boolean,
        "OBJECT": jsonl.is_object,
        "ARRAY": jsonl.is_list,
    }
)
_BOUNDS: tuple[tuple[Callable[[Any], bool], Callable[[Any], float], str, str], ...] = (
    (_is_number, lambda number: number, "minimum", "maximum"),
    (_is_text, len, "minLength", "maxLength"),
    (jsonl.is_list, len, "minItems", "maxItems"),
    (jsonl.is_object, len, "minProperties", "maxProperties"),
)
_KINDS: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {"properties": jsonl.is_object, "anyOf": jsonl.is_list, "enum": jsonl.is_list}
)
