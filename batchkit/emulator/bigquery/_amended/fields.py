"""Columns as BigQuery's REST API writes them, and as DuckDB has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bqemulator.storage.type_map import bq_to_duckdb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bqemulator.storage.engine import DuckDBEngine

__all__ = ["Field", "duckdb_type", "fields_of", "legacy", "quoted"]

Field = dict[str, Any]

# The REST API answers with the older names, whichever it was given.
_LEGACY = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}
_BY_DUCKDB = {
    "VARCHAR": "STRING",
    "TINYINT": "INTEGER",
    "SMALLINT": "INTEGER",
    "INTEGER": "INTEGER",
    "BIGINT": "INTEGER",
    "HUGEINT": "INTEGER",
    "UTINYINT": "INTEGER",
    "USMALLINT": "INTEGER",
    "UINTEGER": "INTEGER",
    "UBIGINT": "INTEGER",
    "FLOAT": "FLOAT",
    "DOUBLE": "FLOAT",
    "BOOLEAN": "BOOLEAN",
    "BLOB": "BYTES",
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP": "DATETIME",
    "TIMESTAMP_S": "DATETIME",
    "TIMESTAMP_MS": "DATETIME",
    "TIMESTAMP_NS": "DATETIME",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "JSON": "JSON",
    "INTERVAL": "INTERVAL",
}


def quoted(name: str) -> str:
    """An identifier as DuckDB's SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def legacy(field: Field) -> Field:
    """A field with the type names and the mode that the REST API answers with."""
    kind = field.get("type", "STRING").upper()
    changed = {**field, "type": _LEGACY.get(kind, kind), "mode": field.get("mode") or "NULLABLE"}
    if field.get("fields"):
        changed["fields"] = [legacy(child) for child in field["fields"]]
    return changed


def duckdb_type(field: Field) -> str:
    """The type of the column that holds a field."""
    if field["type"] in {"RECORD", "STRUCT"}:
        children = field.get("fields") or ()
        inner = ", ".join(f"{quoted(child['name'])} {duckdb_type(child)}" for child in children)
        kind = f"STRUCT({inner})"
    elif field["type"] == "RANGE":
        kind = bq_to_duckdb(f"RANGE<{field['rangeElementType']['type']}>")
    else:
        kind = bq_to_duckdb(field["type"])
    return f"{kind}[]" if field.get("mode") == "REPEATED" else kind


def fields_of(engine: DuckDBEngine, sql: str, parameters: Sequence[Any] = ()) -> list[Field]:
    """The fields that a query of DuckDB's has."""
    described = engine.execute(f"SELECT * FROM ({sql}) LIMIT 0", list(parameters)).description
    return [_field(name, kind) for name, kind, *_ in described or ()]


def _field(name: str, kind: Any) -> Field:
    """A field from DuckDB's own description of a type, which nests as the type does."""
    if kind.id in {"list", "array"}:
        return _field(name, kind.children[0][1]) | {"mode": "REPEATED"}
    if kind.id == "struct":
        children = [_field(*child) for child in kind.children]
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": children}
    if kind.id == "decimal":
        scale = dict(kind.children)["scale"]
        return {
            "name": name,
            "type": "NUMERIC" if scale <= 9 else "BIGNUMERIC",  # noqa: PLR2004  # NUMERIC's scale
            "mode": "NULLABLE",
        }
    return {"name": name, "type": _BY_DUCKDB.get(str(kind), "STRING"), "mode": "NULLABLE"}
