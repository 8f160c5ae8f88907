"""Types of BigQuery as Arrow has them, and types of Arrow as BigQuery can hold them.

https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/data-types
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from batchkit.errors import TableError
from batchkit.text import plain_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["arrow_schema", "loadable_schema", "table_fields"]

_NUMERIC = pa.decimal128(38, 9)
_BIGNUMERIC = pa.decimal256(76, 38)
_NUMERIC_DIGITS = 29  # before the point, of NUMERIC
_NUMERIC_SCALE = 9
_BIGNUMERIC_DIGITS = 38
_BIGNUMERIC_SCALE = 38
_SCALARS: Mapping[str, pa.DataType] = MappingProxyType(
    {
        "STRING": pa.string(),
        "BYTES": pa.binary(),
        "INTEGER": pa.int64(),
        "INT64": pa.int64(),
        "FLOAT": pa.float64(),
        "FLOAT64": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "BOOL": pa.bool_(),
        "NUMERIC": _NUMERIC,
        "BIGNUMERIC": _BIGNUMERIC,
        "DATE": pa.date32(),
        "TIME": pa.time64("us"),
        "DATETIME": pa.timestamp("us"),
        "TIMESTAMP": pa.timestamp("us", tz="UTC"),
        "JSON": pa.string(),
        "GEOGRAPHY": pa.string(),
    }
)
# https://docs.cloud.google.com/bigquery/docs/schemas#column_names: names beyond these need another
# reading of the file, so we ask for these.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
_RESERVED = (
    "_TABLE_",
    "_FILE_",
    "_PARTITION",
    "_ROW_TIMESTAMP",
    "__ROOT__",
    "_COLIDENTIFIER",
    "_CHANGE_SEQUENCE_NUMBER",
    "_CHANGE_TYPE",
    "_CHANGE_TIMESTAMP",
)


def arrow_schema(fields: Sequence[Mapping[str, Any]], source: str) -> pa.Schema:
    """The Arrow types of fields as the REST API writes them; TableError for one that has none."""
    return pa.schema([_arrow_field(field, source, field["name"]) for field in fields])


def _arrow_field(field: Mapping[str, Any], source: str, path: str) -> pa.Field:
    kind = str(field["type"]).upper()
    if kind in {"RECORD", "STRUCT"}:
        inner = [_arrow_field(each, source, f"{path}.{each['name']}") for each in field["fields"]]
        arrow: pa.DataType | None = pa.struct(inner)
    elif kind == "RANGE":
        element = _SCALARS[str(field["rangeElementType"]["type"]).upper()]
        arrow = pa.struct([("start", element), ("end", element)])
    else:
        arrow = _SCALARS.get(kind)
    if arrow is None:
        message = (
            f"column {path!r} of {source} is {kind}, which has no place in a table here: read it "
            "as text, with bk.query('SELECT CAST(… AS STRING), …')"
        )
        raise TableError(message, path)
    return pa.field(field["name"], pa.list_(arrow) if field.get("mode") == "REPEATED" else arrow)


def loadable_schema(schema: pa.Schema) -> pa.Schema:
    """The types that the columns take in a file for a load job.

    TableError names a column that BigQuery cannot hold, or whose name it refuses.
    """
    _check_names(schema.names, "")
    return pa.schema([pa.field(field.name, _loadable(field.type, field.name)) for field in schema])


def _loadable(kind: pa.DataType, path: str) -> pa.DataType:
    plain = plain_type(kind)
    nested = next((turn for is_kind, turn in _NESTED if is_kind(plain)), None)
    if nested is not None:
        return nested(plain, path)
    if isinstance(plain, pa.TimestampType):
        return pa.timestamp("us", tz="UTC" if plain.tz else None)
    found = next((to for is_kind, to in _LOADABLE if is_kind(plain)), None)
    if found is None:
        raise _refused(path, kind, "cast it first, e.g. to text or a number")
    return found


def _struct(kind: pa.DataType, path: str) -> pa.DataType:
    fields = [kind.field(index) for index in range(kind.num_fields)]
    if not fields:
        raise _refused(path, kind, "a struct needs a field: drop the column, or add one")
    _check_names([field.name for field in fields], f"{path}.")
    return pa.struct([(f.name, _loadable(f.type, f"{path}.{f.name}")) for f in fields])


def _map(kind: pa.DataType, path: str) -> pa.DataType:
    entry = kind.field(0).type
    pair = [(name, _loadable(entry.field(i).type, path)) for i, name in enumerate(("key", "value"))]
    return pa.list_(pa.struct(pair))


def _list(kind: pa.DataType, path: str) -> pa.DataType:
    item = kind.field(0).type
    if _is_list(plain_type(item)) or pa.types.is_map(plain_type(item)):
        advice = "BigQuery has no arrays of arrays: put the inner one into a struct"
        raise _refused(path, kind, advice)
    return pa.list_(_loadable(item, path))


def _decimal(kind: Any, path: str) -> pa.DataType:
    digits = kind.precision - kind.scale
    if 0 <= kind.scale <= _NUMERIC_SCALE and digits <= _NUMERIC_DIGITS:
        return _NUMERIC
    if 0 <= kind.scale <= _BIGNUMERIC_SCALE and digits <= _BIGNUMERIC_DIGITS:
        return _BIGNUMERIC
    raise _refused(path, kind, "BIGNUMERIC has 38 digits before the point and 38 after it")


def _refused(path: str, kind: pa.DataType, advice: str) -> TableError:
    message = f"column {path!r} is {kind}, which BigQuery cannot hold: {advice}"
    return TableError(message, path)


def _check_names(names: Iterable[str], within: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if not _NAME.fullmatch(name) or name.upper().startswith(_RESERVED):
            message = (
                f"column {within + name!r} has a name that BigQuery refuses: rename it to letters, "
                "digits and underscores that begin with no digit and none of its own prefixes"
            )
            raise TableError(message, within + name)
        first = seen.setdefault(name.lower(), name)
        if first != name:
            message = (
                f"columns {within + first!r} and {within + name!r} differ only in case, which "
                "BigQuery does not tell apart: rename one"
            )
            raise TableError(message, within + name)


def table_fields(schema: pa.Schema) -> list[dict[str, Any]]:
    """The fields of a table for what `loadable_schema` gave, as the REST API writes them."""
    return [_table_field(field.name, field.type) for field in schema]


def _table_field(name: str, kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        return {**_table_field(name, kind.field(0).type), "mode": "REPEATED"}
    if isinstance(kind, pa.StructType):
        inner = [kind.field(index) for index in range(kind.num_fields)]
        fields = [_table_field(field.name, field.type) for field in inner]
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": fields}
    return {"name": name, "type": _NAMES[kind], "mode": "NULLABLE"}


def _is_list(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in _LISTS)


# Of two names of a type the newer, and of texts STRING.
_NAMES: Mapping[pa.DataType, str] = MappingProxyType(
    {kind: name for name, kind in _SCALARS.items() if name not in {"JSON", "GEOGRAPHY"}}
)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_NESTED: tuple[
    tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType, str], pa.DataType]], ...
] = (
    (pa.types.is_struct, _struct),
    (pa.types.is_map, _map),
    (_is_list, _list),
    (pa.types.is_decimal, _decimal),
)
_LOADABLE: tuple[tuple[Callable[[pa.DataType], bool], pa.DataType], ...] = (
    (pa.types.is_null, pa.string()),
    (pa.types.is_boolean, pa.bool_()),
    (pa.uint64().equals, _NUMERIC),
    (pa.types.is_integer, pa.int64()),
    (pa.types.is_floating, pa.float64()),
    (pa.types.is_string, pa.string()),
    (pa.types.is_large_string, pa.string()),
    (pa.types.is_string_view, pa.string()),
    (pa.types.is_binary, pa.binary()),
    (pa.types.is_large_binary, pa.binary()),
    (pa.types.is_binary_view, pa.binary()),
    (pa.types.is_fixed_size_binary, pa.binary()),
    (pa.types.is_date, pa.date32()),
    (pa.types.is_time, pa.time64("us")),
)
