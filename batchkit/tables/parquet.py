"""Parquet tables: a file, a folder or a pattern, pinned by size and time and read by row group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from batchkit.errors import TableError
from batchkit.tables.pinned import PinnedFile, PinnedTable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["parquet_table"]


def parquet_table(paths: Sequence[Path], description: str) -> PinnedTable:
    """The files, in the order given, as one table; only their footers are read.

    Raises TableError when a file cannot be read or its columns differ from those of the first.
    """
    schemas = {path: _schema(path) for path in paths}
    first, expected = next(iter(schemas.items()))
    for path, schema in schemas.items():
        if not schema.equals(expected):
            message = (
                f"{path}: its columns differ from those of {first}: {_difference(schema, expected)}"
            )
            raise TableError(message)
    return PinnedTable(description, expected, tuple(_pinned(path) for path in paths))


def _schema(path: Path) -> pa.Schema:
    try:
        with pq.ParquetFile(path) as file:
            return file.schema_arrow
    except (pa.ArrowInvalid, OSError) as error:
        message = f"{path} is no Parquet file: {error}"
        raise TableError(message) from error


def _difference(schema: pa.Schema, expected: pa.Schema) -> str:
    here = {(field.name, str(field.type)) for field in schema}
    there = {(field.name, str(field.type)) for field in expected}
    changed = sorted(here ^ there)
    return ", ".join(f"{name} {kind}" for name, kind in changed) or "another order"


def _pinned(path: Path) -> PinnedFile:
    status = path.stat()
    metadata = pq.read_metadata(path)
    rows = tuple(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
    absolute = str(path.resolve())
    return PinnedFile(absolute, "parquet", status.st_size, status.st_mtime_ns, rows)
