"""Files of the formats that are loaded, as queries of DuckDB's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .fields import Field, duckdb_type, fields_of, quoted
from .parts import part
from .refusals import refuse, refuse_query, refuse_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bqemulator.storage.engine import DuckDBEngine

__all__ = ["Source", "opened"]

_GZIP = b"\x1f\x8b"
# What else than its own type a column of a Parquet file may become:
# https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#parquet_conversions
_FITTING = {
    "STRING": {"JSON", "BYTES"},
    "BYTES": {"STRING"},
    "DATETIME": {"TIMESTAMP"},
    "TIMESTAMP": {"DATETIME"},
    "NUMERIC": {"BIGNUMERIC", "STRING"},
}
_CSV_OPTIONS = {"fieldDelimiter": "delim", "quote": "quote", "nullMarker": "nullstr"}


@dataclass(frozen=True, slots=True)
class Source:
    """Rows as a query gives them, and what they are to be: `fields` in the table's order.

    `columns` says by field what SQL its value is, in terms of the query's columns.
    """

    sql: str
    parameters: Sequence[Any]
    fields: Sequence[Field]
    columns: Mapping[str, str]


def opened(
    engine: DuckDBEngine, load: Mapping[str, Any], paths: Sequence[Path], fields: list[Field] | None
) -> Source:
    """The rows of files, with these fields, or with those that the files have (None)."""
    kind = load.get("sourceFormat", "CSV").upper()
    if kind not in _FORMATS:
        refuse_query(f"Unknown source format: {kind}")
    return _FORMATS[kind](engine, load, [str(path) for path in paths], fields)


def _parquet(
    engine: DuckDBEngine, load: Mapping[str, Any], paths: list[str], fields: list[Field] | None
) -> Source:
    source = _inferred(engine, "SELECT * FROM read_parquet(?)", paths)
    _check_lists(source.fields, load)
    if fields is None:
        return source
    found = {field["name"].lower(): field for field in source.fields}
    for field in fields:
        _check_fits(found.get(field["name"].lower(), field), field)
    _check_known(found, fields, load)
    return Source(source.sql, source.parameters, fields, source.columns)


def _json(
    engine: DuckDBEngine, load: Mapping[str, Any], paths: list[str], fields: list[Field] | None
) -> Source:
    options = f"format = 'newline_delimited'{_packing(paths)}"
    if fields is None:
        return _inferred(engine, f"SELECT * FROM read_json_auto(?, {options})", paths)
    keys = f"SELECT DISTINCT unnest(json_keys(json)) FROM read_json_objects(?, {options})"
    _check_known([key for (key,) in engine.execute(keys, [paths]).fetchall()], fields, load)
    sql = f"SELECT * FROM read_json(?, {options}, columns = {_columns(fields)})"
    return Source(sql, [paths], fields, _text_values(fields))


def _csv(
    engine: DuckDBEngine, load: Mapping[str, Any], paths: list[str], fields: list[Field] | None
) -> Source:
    options = _packing(paths)
    for name, option in _CSV_OPTIONS.items():
        if load.get(name):
            options += f", {option} = {_text(load[name])}"
    if fields is None:
        return _inferred(engine, f"SELECT * FROM read_csv(?{options})", paths)
    options += f", header = false, skip = {int(load.get('skipLeadingRows') or 0)}"
    options += f", auto_detect = false, columns = {_columns(fields)}"
    return Source(f"SELECT * FROM read_csv(?{options})", [paths], fields, _text_values(fields))


_FORMATS: Mapping[str, Callable[..., Source]] = {
    "PARQUET": _parquet,
    "NEWLINE_DELIMITED_JSON": _json,
    "CSV": _csv,
}


def _inferred(engine: DuckDBEngine, sql: str, paths: list[str]) -> Source:
    """What a query gives, with the fields that it has."""
    fields = fields_of(engine, sql, [paths])
    return Source(sql, [paths], fields, {f["name"]: quoted(f["name"]) for f in fields})


def _check_lists(fields: Sequence[Field], load: Mapping[str, Any]) -> None:
    """Without list inference a list is a record of a record of its elements, which none wants.

    https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#list_logical_type
    """
    lists = [field["name"] for field in fields if field["mode"] == "REPEATED"]
    if lists and not part(load, "parquetOptions").get("enableListInference"):
        refuse(f"Column {lists[0]} is a list: set parquet_options.enable_list_inference")


def _check_fits(found: Field, field: Field) -> None:
    kind, wanted = found["type"], field["type"]
    both_repeat = (found["mode"] == "REPEATED") == (field["mode"] == "REPEATED")
    if not both_repeat or not (kind == wanted or wanted in _FITTING.get(kind, ())):
        column = f"Parquet column '{field['name']}' has type {kind}"
        refuse_rows(f"{column} which does not match the target cpp_type {wanted}.")


def _check_known(names: Iterable[str], fields: Sequence[Field], load: Mapping[str, Any]) -> None:
    known = {field["name"].lower() for field in fields}
    unknown = [name for name in names if name.lower() not in known]
    if unknown and not load.get("ignoreUnknownValues"):
        refuse_rows(f"No such field: {unknown[0]}.")


def _packing(paths: list[str]) -> str:
    """Files are looked into, as BigQuery does, not told by their names."""
    packed: set[bool] = set()
    for path in paths:
        with Path(path).open("rb") as file:
            packed.add(file.read(len(_GZIP)) == _GZIP)
    if len(packed) > 1:
        refuse("some files are gzip and some are not")
    return f", compression = '{'gzip' if True in packed else 'none'}'"


def _columns(fields: Sequence[Field]) -> str:
    """The types that the columns of a text file are read as: bytes are base64 there."""
    read = [field | {"type": "STRING"} if field["type"] == "BYTES" else field for field in fields]
    types = (f"{quoted(field['name'])}: {_text(duckdb_type(field))}" for field in read)
    return "{" + ", ".join(types) + "}"


def _text_values(fields: Sequence[Field]) -> dict[str, str]:
    """The values of the columns of a text file, which are read under their fields' names."""
    values: dict[str, str] = {}
    for field in fields:
        value = quoted(field["name"])
        if field["type"] == "BYTES":
            is_list = field["mode"] == "REPEATED"
            each = f"list_transform({value}, lambda x: from_base64(x))"
            value = each if is_list else f"from_base64({value})"
        values[field["name"]] = value
    return values


def _text(value: str) -> str:
    """A text as DuckDB's SQL writes it."""
    return "'" + value.replace("'", "''") + "'"
