"""JSONL tables: one JSON object per line, one column per field that any line has."""

from __future__ import annotations

import gzip
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, cast

import pyarrow as pa

from batchkit import jsonl
from batchkit.errors import TableError
from batchkit.tables.stream import TableStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["json_lines_table", "rows_table"]

_BATCH_ROWS = 8_192


def json_lines_table(path: Path) -> TableStream:
    """A JSONL file (`.jsonl`, `.ndjson`, also `.gz`) as a table; the file is read twice.

    The type of a field is what holds all its values; a field that no type holds is a TableError
    that names it, and so is a line that is no object.
    """
    schema = _schema(_batches(_objects(path)), str(path))
    return TableStream(f"JSONL file {path}", schema, _typed(_batches(_objects(path)), schema))


def rows_table(rows: Sequence[Mapping[str, Any]]) -> TableStream:
    """A list of dicts as a table, by the same rules."""
    schema = _schema(_batches(rows), "the list of rows")
    return TableStream(f"{len(rows)} rows", schema, _typed(_batches(rows), schema))


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    with _opened(path) as file:
        for number, line in jsonl.lines(file):
            try:
                value = jsonl.loads(line)
            except ValueError as error:
                raise _broken(path, number, f"not JSON: {error}") from error
            if not jsonl.is_object(value):
                raise _broken(path, number, "not an object")
            yield value


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _broken(path: Path, number: int, why: str) -> TableError:
    return TableError(f"{path}, line {number}: {why}")


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    ahead = iter(rows)
    while batch := list(islice(ahead, _BATCH_ROWS)):
        yield batch


def _schema(batches: Iterator[list[Mapping[str, Any]]], source: str) -> pa.Schema:
    """The type of each field over all rows."""
    schema = pa.schema(list[pa.Field]())
    for number, rows in enumerate(batches):
        names = dict.fromkeys(name for row in rows for name in row)
        for name in names:
            found = pa.field(name, _values(rows, name, None, source).type)
            schema = _merged(schema, found, f"{source}, rows from {number * _BATCH_ROWS}")
    if len(schema) == 0:
        message = f"{source} holds no rows"
        raise TableError(message)
    return schema


def _merged(schema: pa.Schema, found: pa.Field, where: str) -> pa.Schema:
    try:
        return pa.unify_schemas([schema, pa.schema([found])], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        message = f"{where}: field {found.name!r} has values of different types: {error}"
        raise TableError(message, column=found.name) from error


def _values(
    rows: Sequence[Mapping[str, Any]], name: str, kind: pa.DataType | None, source: str
) -> pa.Array:
    values = [row.get(name) for row in rows]
    try:
        return pa.array(values, kind)
    except OverflowError:
        return pa.array(values, pa.uint64())
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        message = f"{source}: field {name!r} has values of different types: {error}"
        raise TableError(message, column=name) from error


def _typed(
    batches: Iterator[list[Mapping[str, Any]]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    for rows in batches:
        columns = [_values(rows, field.name, field.type, "the table") for field in schema]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
