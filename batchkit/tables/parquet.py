"""Parquet tables: a file, a folder or a pattern, pinned by size and time and read by row group."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from batchkit.errors import TableError
from batchkit.tables.pinned import PinnedFile, PinnedTable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batchkit.tables.pinned import Partition

__all__ = ["merged_schema", "parquet_table", "partition_of", "with_partition"]

# How Hive, Spark and pyarrow name the folder of rows whose value is null.
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def parquet_table(paths: Sequence[Path], root: Path, description: str) -> PinnedTable:
    """The files, in the order given, as one table; only their footers are read.

    Columns are known by name, so that their order may differ; a column without a value in one
    file takes its type from the others. Folders below `root` that are named `column=value` make a
    column of text. Raises TableError when a file cannot be read or has other columns.
    """
    schema: pa.Schema | None = None
    files: list[PinnedFile] = []
    for path in paths:
        file, found = _pinned(path, root)
        schema = found if schema is None else merged_schema(schema, found, f"{path}", f"{paths[0]}")
        files.append(file)
    return PinnedTable(description, schema or pa.schema(list[pa.Field]()), tuple(files))


def _pinned(path: Path, root: Path) -> tuple[PinnedFile, pa.Schema]:
    """The file, and its columns: those in it, then those in the names of its folders."""
    try:
        status = path.stat()
        with pq.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
    except (pa.ArrowInvalid, OSError) as error:
        message = f"{path} is no Parquet file: {error}"
        raise TableError(message) from error
    rows = tuple(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
    folders = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
    partition = partition_of(folders, schema)
    pinned = PinnedFile(
        str(path.resolve()), "parquet", status.st_size, status.st_mtime_ns, rows, partition
    )
    return pinned, with_partition(schema, partition)


def partition_of(folders: Sequence[str], schema: pa.Schema) -> Partition:
    """Names and values of the columns that stand in the names of folders, and not in the file."""
    pairs = [folder.partition("=") for folder in folders]
    named = [(unquote(name), value) for name, equals, value in pairs if name and equals]
    return tuple(
        (name, None if value == _NULL_PARTITION else unquote(value))
        for name, value in named
        if name not in schema.names
    )


def with_partition(schema: pa.Schema, partition: Partition) -> pa.Schema:
    """The columns of a file, then those of its folders."""
    fields = [*schema, *(pa.field(name, pa.string()) for name, _ in partition)]
    return pa.schema(fields, metadata=schema.metadata)


def merged_schema(schema: pa.Schema, found: pa.Schema, path: str, first: str) -> pa.Schema:
    """The schema, with the types that the file knows better; TableError when the columns differ."""
    fields: list[pa.Field] = []
    differing = sorted(set(schema.names) ^ set(found.names))
    for field in schema:
        here = found.field(field.name) if field.name in found.names else field
        known = here if pa.types.is_null(field.type) else field
        if not pa.types.is_null(here.type) and not here.type.equals(known.type):
            differing.append(f"{field.name}, {here.type} instead of {known.type}")
        fields.append(known.with_nullable(field.nullable or here.nullable))
    if differing:
        message = f"{path}: its columns differ from those of {first}: {'; '.join(differing)}"
        raise TableError(message)
    return pa.schema(fields, metadata=schema.metadata)
