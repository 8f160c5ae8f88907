"""Anything that is a table, opened: by what it is, or by how its name ends."""

from __future__ import annotations

import glob
import io
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, cast

import pyarrow as pa
from pyarrow import ipc

from batchkit.errors import CapabilityError, TableError
from batchkit.tables.csv import csv_table
from batchkit.tables.frame import arrow_of_frame, is_frame
from batchkit.tables.json_lines import json_lines_table, rows_table
from batchkit.tables.labels import check_labels
from batchkit.tables.parquet import parquet_table
from batchkit.tables.stream import TableStream

if TYPE_CHECKING:
    from collections.abc import Collection

    from batchkit.tables.pinned import PinnedTable

__all__ = ["TableLike", "open_table"]

TableLike: TypeAlias = "str | Path | Sequence[Mapping[str, Any]] | Any"

_MAGIC = frozenset("*?[")
_CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_JSONL = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")


def open_table(table: TableLike, text_columns: Collection[str] = ()) -> TableStream | PinnedTable:
    """A DataFrame or Arrow data, a list of dicts, or the path of Parquet, CSV or JSONL files.

    A folder or a pattern (`data/*.parquet`) names Parquet files, taken in the order of their
    names; hidden ones (`.` or `_` before the name) are left out. Columns in `text_columns` of a
    CSV file are read as text. Raises TableError.
    """
    if isinstance(table, str | Path):
        opened = _open_path(table, text_columns)
    elif hasattr(table, "__arrow_c_stream__"):
        opened = _open_arrow(table)
    elif _is_rows(table):
        opened = rows_table(table)
    else:
        message = (
            f"a {type(table).__name__} is no table: give a DataFrame, Arrow data "
            "(anything with __arrow_c_stream__), a list of dicts or the path of a file"
        )
        raise TableError(message)
    check_labels(opened.schema.names, opened.description)
    for field in opened.schema:
        _check_kept(field, opened.description)
    return opened


def _check_kept(field: pa.Field, description: str) -> None:
    """Raise TableError for a type that cannot be written down and read again."""
    schema = pa.schema([field])
    try:
        ipc.read_schema(schema.serialize())
        with io.BytesIO() as file:
            with ipc.new_file(file, schema) as writer:
                writer.write_batch(pa.record_batch([pa.nulls(1, field.type)], schema=schema))
            ipc.open_file(file).get_batch(0)
    except (TypeError, ValueError, pa.ArrowException) as error:
        message = (
            f"column {field.name!r} of the {description} is of a type that cannot be kept "
            f"({field.type}: {error}); give it another, e.g. text"
        )
        raise TableError(message, column=field.name) from error


def _is_rows(table: Any) -> TypeGuard[list[Mapping[str, Any]]]:
    return isinstance(table, list) and all(
        isinstance(row, Mapping) for row in cast("list[Any]", table)
    )


def _open_path(table: str | Path, text_columns: Collection[str]) -> TableStream | PinnedTable:
    text = str(table)
    if "://" in text:
        message = f"{text}: this version reads local files; copy it, or pass it as Arrow data"
        raise CapabilityError(message)
    path = Path(text).expanduser()
    if text.endswith(_CSV):
        return csv_table(_existing(path), text_columns)
    if text.endswith(_JSONL):
        return json_lines_table(_existing(path))
    return _open_parquet(path, text)


def _existing(path: Path) -> Path:
    if not path.is_file():
        message = f"{path}: no such file"
        raise TableError(message)
    return path


def _open_parquet(path: Path, description: str) -> PinnedTable:
    """The files of a folder or a pattern, or the one file; folders' names may hold columns."""
    if path.is_dir():
        root, found = path, path.rglob("*.parquet")
    elif _MAGIC & set(str(path)) and not path.exists():
        root = _fixed_part(path)
        found = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207  # an absolute pattern
    else:
        return parquet_table([_existing(path)], path.parent, description)
    files = sorted(p for p in found if p.is_file() and not _hidden(p.relative_to(root)))
    if not files:
        message = f"{path}: no Parquet file there"
        raise TableError(message)
    return parquet_table(files, root, description)


def _fixed_part(pattern: Path) -> Path:
    """The folder that a pattern begins with."""
    fixed = takewhile(lambda part: not _MAGIC & set(part), pattern.parts[:-1])
    return Path(*fixed)


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _open_arrow(table: Any) -> TableStream:
    kind = f"{type(table).__module__.partition('.')[0]} {type(table).__name__}"
    if is_frame(table):
        reader = arrow_of_frame(table).to_reader()
        return TableStream(kind, reader.schema, iter(reader))
    if not isinstance(table, pa.Table | pa.RecordBatch):  # whose `columns` are their data
        check_labels(getattr(table, "columns", ()), kind)
        _check_objects(table, kind)
    try:
        reader = pa.RecordBatchReader.from_stream(table)
    except (ValueError, TypeError, pa.ArrowException) as error:
        message = f"the {kind} cannot become Arrow: {error}"
        raise TableError(message) from error
    return TableStream(kind, reader.schema, iter(reader))


def _check_objects(table: Any, kind: str) -> None:
    """Raise TableError for Python objects in Polars, which would go as their addresses."""
    dtypes = zip(getattr(table, "columns", ()), getattr(table, "dtypes", ()), strict=False)
    name = next((name for name, dtype in dtypes if str(dtype) == "Object"), None)
    if name is not None:
        message = f"column {name!r} of the {kind} holds Python objects: give it one type, e.g. text"
        raise TableError(message, column=name)
