"""JSONL tables: one JSON object per line, one column per field that any line has."""

from __future__ import annotations

import codecs
import gzip
import zlib
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, cast

import pyarrow as pa

from batchkit import jsonl
from batchkit.errors import TableError
from batchkit.tables.labels import check_labels
from batchkit.tables.stream import TableStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["JSON_LINES_ENDINGS", "json_lines_table", "rows_table"]

JSON_LINES_ENDINGS = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_BATCH_ROWS = 8_192
_WHOLE = {pa.int64(), pa.uint64()}


def json_lines_table(path: Path) -> TableStream:
    """A JSONL file (`.jsonl`, `.ndjson`, also `.gz`) as a table; the file is read twice.

    The type of a field is what holds all its values; a field that no type holds is a TableError
    that names it, and so is a line that is no object.
    """
    schema = _schema(_batches(_objects(path)), str(path))
    return TableStream(f"JSONL file {path}", schema, _typed(_batches(_objects(path)), schema))


def rows_table(rows: Sequence[Mapping[str, Any]]) -> TableStream:
    """A list of dicts as a table, by the same rules."""
    check_labels(dict.fromkeys(name for row in rows for name in row), "list of rows")
    schema = _schema(_batches(rows), "the list of rows")
    return TableStream(f"{len(rows)} rows", schema, _typed(_batches(rows), schema))


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with _opened(path) as file:
            for number, line in jsonl.lines(file):
                text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                yield _object(text, f"{path}, line {number}")
    except (OSError, EOFError, zlib.error) as error:
        message = f"{path} cannot be read: {error}"
        raise TableError(message) from error


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _object(text: bytes, place: str) -> dict[str, Any]:
    try:
        value = jsonl.loads(text)
    except ValueError as error:
        message = f"{place}: not JSON: {error}"
        raise TableError(message) from error
    if not jsonl.is_object(value):
        message = f"{place}: not an object"
        raise TableError(message)
    return value


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    ahead = iter(rows)
    while batch := list(islice(ahead, _BATCH_ROWS)):
        yield batch


def _schema(batches: Iterator[list[Mapping[str, Any]]], source: str) -> pa.Schema:
    """The type of each field over all rows."""
    types: dict[str, pa.DataType] = {}
    for number, rows in enumerate(batches):
        where = f"{source}, rows from {number * _BATCH_ROWS}"
        for name in dict.fromkeys(name for row in rows for name in row):
            found = _values(rows, name, None, where).type
            types[name] = _merged(types.get(name, found), found, name, where)
    if not types:
        message = f"{source} holds no rows"
        raise TableError(message)
    return pa.schema(list(types.items()))


def _merged(known: pa.DataType, found: pa.DataType, name: str, where: str) -> pa.DataType:
    if {known, found} == _WHOLE:  # which Arrow calls int64, and loses the larger ones
        return pa.uint64()
    both = [pa.schema([(name, known)]), pa.schema([(name, found)])]
    try:
        return pa.unify_schemas(both, promote_options="permissive").field(name).type
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise _mixed(where, name, error) from error


def _values(
    rows: Sequence[Mapping[str, Any]], name: str, kind: pa.DataType | None, where: str
) -> pa.Array:
    values = [row.get(name) for row in rows]
    try:
        return _array(values, kind)
    except (ValueError, TypeError, OverflowError) as error:
        raise _mixed(where, name, error) from error


def _array(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    try:
        return pa.array(values, kind)
    except OverflowError:
        return pa.array(values, kind or pa.uint64())
    except (ValueError, TypeError):
        return pa.array(values, kind, from_pandas=True)  # it may be NaT or NA that Arrow minds


def _mixed(where: str, name: str, error: Exception) -> TableError:
    message = f"{where}: field {name!r} has values that no one type holds: {error}"
    return TableError(message, column=name)


def _typed(
    batches: Iterator[list[Mapping[str, Any]]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    for rows in batches:
        columns = [_values(rows, field.name, field.type, "the table") for field in schema]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
