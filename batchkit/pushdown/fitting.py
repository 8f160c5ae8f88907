"""Answers held against a schema, as `fitting.py` and `schema.py` do it, as SQL.

The fields of an answer are cut out of its text by regular expressions, which are RE2's wherever
they run: that keeps their order, the last of two that share a name, and a null apart from nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from batchkit.errors import CapabilityError
from batchkit.pushdown.literals import indented, pattern, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["AnswerField", "answer_fields", "fitting_sql"]

_TYPES: Mapping[str, str] = MappingProxyType(
    {"STRING": "STRING", "INTEGER": "INT64", "NUMBER": "FLOAT64", "BOOLEAN": "BOOL"}
)
# Keywords that no answer is held against, here or there.
_SILENT = frozenset({"title", "description", "format", "default", "example", "pattern"})
_OF_OBJECT = _SILENT | {"type", "properties", "required", "propertyOrdering"}
_OF_FIELD = _SILENT | {"type", "nullable", "enum"}
_SUPPORTED = (
    "with pushdown a schema is one object of texts, whole numbers, numbers, booleans and enums, "
    "without bounds; change the schema, or leave out schema= or pushdown"
)
_DEPTH = 8  # of what stands in fields that the schema does not name

_SPACE = r"[ \t\n\r]*"
_TEXT = r'"(?:[^"\\]|\\.)*"'
_STRICT_TEXT = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_VALUE = rf"{_STRICT_TEXT}|{_NUMBER}|true|false|null"
# The words of JSON, with something after each comma; PARSE_JSON looks at their order.
_WORDS = rf"^(?:{_VALUE}|[\[\]{{}}: \t\n\r]|,{_SPACE}(?:{_VALUE}|[\[{{]))*$"
_NULL = rf"^{_SPACE}null{_SPACE}$"
_OPENS = rf"^{_SPACE}\{{"
_WHOLE = "^-?[0-9]{1,19}$"


def _nested() -> str:
    """A list or an object, as deep as may be, for an expression that cannot count brackets."""
    found = rf'[\[{{](?:[^"\[\]{{}}]|{_TEXT})*[\]}}]'
    for _ in range(_DEPTH):
        found = rf'[\[{{](?:[^"\[\]{{}}]|{_TEXT}|{found})*[\]}}]'
    return found


_MEMBER = rf'{_TEXT}{_SPACE}:{_SPACE}(?:{_TEXT}|[^ \t\n\r",\[\]{{}}]+|{_nested()})'
_MEMBERS = rf"^{_SPACE}\{{{_SPACE}(?:{_MEMBER}{_SPACE}(?:,{_SPACE}{_MEMBER}{_SPACE})*)?\}}{_SPACE}$"
_KEY = f"JSON_VALUE(REGEXP_EXTRACT(member, {pattern(f'^{_TEXT}')}), '$')"
_SAID = f"REGEXP_EXTRACT(member, {pattern(f'(?s)^{_TEXT}{_SPACE}:{_SPACE}(.*)$')})"


@dataclass(frozen=True, slots=True)
class AnswerField:
    """A field that the schema names; its value is the column `field_<number>` of an outcome."""

    number: int
    name: str
    kind: str
    enum: tuple[str, ...]
    required: int | None  # its place among those that are
    takes_null: bool

    @property
    def type(self) -> str:
        """Its SQL type."""
        return _TYPES[self.kind]

    @property
    def column(self) -> str:
        """The column of its values, until the result names them."""
        return f"field_{self.number}"


def answer_fields(schema: Mapping[str, Any] | None) -> tuple[AnswerField, ...]:
    """The fields of a responseSchema in the order of their columns; none without a schema.

    Raises CapabilityError for a schema that SQL does not hold answers against as Python does.
    """
    if schema is None:
        return ()
    properties: dict[str, dict[str, Any]] = schema.get("properties") or {}
    if schema.get("type") != "OBJECT" or not properties:
        message = f"the schema is not an object of named fields: {_SUPPORTED}"
        raise CapabilityError(message)
    _check_keywords("the schema", schema, _OF_OBJECT)
    required: list[str] = list(schema.get("required", ()))
    unknown = next((name for name in required if name not in properties), None)
    if unknown is not None:
        message = f"the schema requires {unknown!r}, which it does not describe: {_SUPPORTED}"
        raise CapabilityError(message)
    ordered = [name for name in schema.get("propertyOrdering", ()) if name in properties]
    names = dict.fromkeys([*ordered, *properties])
    _check_cases(names)
    ranks = {name: rank for rank, name in reversed(list(enumerate(required)))}
    return tuple(
        _field(number, name, properties[name], ranks.get(name)) for number, name in enumerate(names)
    )


def _check_cases(names: Iterable[str]) -> None:
    """Raise CapabilityError for two names that are one to BigQuery."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            message = f"schema fields {other!r} and {name!r} are one to BigQuery: rename one"
            raise CapabilityError(message)


def _field(number: int, name: str, said: Mapping[str, Any], required: int | None) -> AnswerField:
    kind, enum = str(said.get("type")), tuple(said.get("enum") or ())
    if not re.fullmatch(r"\w+", name):
        message = f"schema field {name!r}: with pushdown names are letters, digits and _"
        raise CapabilityError(message)
    if kind not in _TYPES or (enum and kind != "STRING"):
        message = f"schema field {name!r} is {_shown(said)}: {_SUPPORTED}"
        raise CapabilityError(message)
    _check_keywords(f"schema field {name!r}", said, _OF_FIELD)
    return AnswerField(number, name, kind, enum, required, bool(said.get("nullable")))


def _shown(said: Mapping[str, Any]) -> str:
    kind = said.get("type")
    if kind is None:
        return "of several types" if "anyOf" in said else "of any type"
    return f"{kind.lower()} with an enum" if kind in _TYPES else str(kind).lower()


def _check_keywords(what: str, said: Mapping[str, Any], known: frozenset[str]) -> None:
    other = next((keyword for keyword in said if keyword not in known), None)
    if other is not None:
        message = f"{what} has {other}: {_SUPPORTED}"
        raise CapabilityError(message)


def fitting_sql(fields: Sequence[AnswerField], columns: Sequence[str]) -> str:
    """Steps from `decoded` to `fitted`: its `columns`, `is_fitted`, and those of the fields."""
    places = ",\n".join(f"({_first_place(field)}) AS place_{field.number}" for field in fields)
    saids = ",\n".join(f"({_last_said(field)}) AS said_{field.number}" for field in fields)
    values = ",\n".join(f"{_value(field)} AS {field.column}" for field in fields)
    changed = {
        "status": "IF(reason IS NULL, status, 'malformed') AS status",
        "error_message": "COALESCE(reason, error_message) AS error_message",
    }
    kept = ",\n".join(changed.get(name, name) for name in columns)
    filled = ",\n".join(f"IF(reason IS NULL, {f.column}, NULL) AS {f.column}" for f in fields)
    return f"""\
{_OPENING},
named AS (
  SELECT
    *,
    {indented(places, 4)},
    {indented(saids, 4)}
  FROM membered
),
valued AS (
  SELECT
    *,
    {indented(values, 4)}
  FROM named
),
reasoned AS (
  SELECT
    *,
    {indented(_reason(fields), 4)} AS reason
  FROM valued
),
fitted AS (
  SELECT
    batchkit_key,
    {indented(kept, 4)},
    reason IS NULL AND answer_text IS NOT NULL AS is_fitted,
    {indented(filled, 4)}
  FROM reasoned
)"""


_OPENING = f"""\
asked AS (
  SELECT *, IF(status = 'ok', response, NULL) AS answer_text
  FROM decoded
),
worded AS (
  SELECT
    *,
    IFNULL(REGEXP_CONTAINS(answer_text, {pattern(_WORDS)}), FALSE)
      AND SAFE.PARSE_JSON(answer_text, wide_number_mode => 'round') IS NOT NULL AS is_json
  FROM asked
),
membered AS (
  SELECT
    *,
    is_json AND REGEXP_CONTAINS(answer_text, {pattern(_OPENS)}) AS is_object,
    is_json AND REGEXP_CONTAINS(answer_text, {pattern(_MEMBERS)}) AS is_shallow,
    REGEXP_EXTRACT_ALL(IF(is_json, answer_text, ''), {pattern(_MEMBER)}) AS members
  FROM worded
)"""


def _first_place(field: AnswerField) -> str:
    """Where an answer names a field first, which is where Python keeps it."""
    return f"""\
SELECT MIN(place)
    FROM UNNEST(members) AS member WITH OFFSET AS place
    WHERE {_KEY} = {text(field.name)}"""


def _last_said(field: AnswerField) -> str:
    """The JSON text of a field's value, the last when there are several."""
    return f"""\
SELECT {_SAID}
    FROM UNNEST(members) AS member WITH OFFSET AS place
    WHERE {_KEY} = {text(field.name)}
    ORDER BY place DESC
    LIMIT 1"""


def _value(field: AnswerField) -> str:
    """The value of a field; NULL where it is not of the field's type."""
    said = f"said_{field.number}"
    number = f"SAFE_CAST(IF(REGEXP_CONTAINS({said}, r'^[-0-9]'), {said}, NULL) AS FLOAT64)"
    if field.kind == "STRING":
        return f"IF(STARTS_WITH({said}, '\"'), JSON_VALUE({said}, '$'), NULL)"
    if field.kind == "BOOLEAN":
        return f"CASE {said} WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END"
    if field.kind == "NUMBER":
        return number
    whole = f"SAFE_CAST(IF(REGEXP_CONTAINS({said}, {pattern(_WHOLE)}), {said}, NULL) AS INT64)"
    return f"""\
CASE
  WHEN {whole} IS NOT NULL THEN {whole}
  WHEN {number} >= -9223372036854775808.0 AND {number} < 9223372036854775808.0
    AND {number} = TRUNC({number})
    THEN CAST({number} AS INT64)
END"""


def _reason(fields: Sequence[AnswerField]) -> str:
    """Why an answer does not fit: what is missing, or else the first field that is wrong."""
    required = sorted((f.required, f) for f in fields if f.required is not None)
    missing = "".join(
        f"\n    IF(place_{field.number} IS NULL, {text(f'$.{field.name} is missing')}, NULL),"
        for _, field in required
    )
    placed = ",\n      ".join(
        f"LPAD(CAST(place_{field.number} AS STRING), 9, '0') || {indented(_wrong(field), 6)}"
        for field in fields
    )
    return f"""\
CASE
  WHEN answer_text IS NULL THEN NULL
  WHEN NOT is_json THEN 'the answer is not JSON'
  WHEN is_object AND NOT is_shallow THEN 'the answer is nested deeper than SQL reads'
  ELSE 'the answer does not fit the schema: ' || COALESCE(
    IF(REGEXP_CONTAINS(answer_text, {pattern(_NULL)}), '$ is null', NULL),
    IF(is_object, NULL, '$ is not object'),{missing}
    SUBSTR((SELECT MIN(wrong) FROM UNNEST([
      {placed}
    ]) AS wrong), 10)
  )
END"""


def _wrong(field: AnswerField) -> str:
    said, path = f"said_{field.number}", f"$.{field.name}"
    is_refused = field.required is not None and not field.takes_null
    null = text(f"{path} is null") if is_refused else "NULL"
    listed = ", ".join(text(value) for value in field.enum)
    other = text(f"{path} is none of the enum's values")
    enum = f"\n  WHEN {field.column} NOT IN ({listed}) THEN {other}" if field.enum else ""
    return f"""\
CASE
  WHEN {said} = 'null' THEN {null}
  WHEN {field.column} IS NULL THEN {text(f"{path} is not {field.kind.lower()}")}{enum}
END"""
