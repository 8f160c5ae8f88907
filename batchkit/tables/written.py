"""Tables written to files: Parquet, JSONL, CSV; whole or not at all, a window at a time."""

from __future__ import annotations

import tempfile
from itertools import chain, count, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from batchkit import jsonl
from batchkit.durable import SHARED_MODE, whole_file
from batchkit.errors import SetupError
from batchkit.tables.stream import batch_bytes
from batchkit.text import text_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["write_csv", "write_jsonl", "write_parquet"]

_GROUP_ROWS = 131_072
_GROUP_BYTES = 64_000_000
_GROUPS_PER_FILE = 8


def write_parquet(rows: pa.RecordBatchReader, path: str | Path, *, may_replace: bool) -> Path:
    """Write one file when the path ends in `.parquet`, else a folder of files; returns the path.

    A file is replaced; a folder that holds anything is a SetupError unless it `may_replace`.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".parquet" and not target.is_dir():
        with whole_file(target, SHARED_MODE) as file:
            _write_groups(file, rows.schema, _groups(rows))
        return target
    if target.is_dir() and any(target.iterdir()) and not may_replace:
        message = (
            f"{target} holds files already: name a new folder, or a file that ends in .parquet"
        )
        raise SetupError(message)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".results-", suffix=".tmp") as name:
        whole = Path(name) / "whole"
        whole.mkdir()
        _write_parts(rows, whole)
        if target.exists():
            target.rename(Path(name) / "before")
        whole.rename(target)
    return target


def _write_parts(rows: pa.RecordBatchReader, folder: Path) -> None:
    """Files of several row groups each; one without rows when there are none."""
    groups = _groups(rows)
    for number in count():
        first = list(islice(groups, 1))
        if number and not first:
            return
        with whole_file(folder / f"part-{number:05d}.parquet", SHARED_MODE) as file:
            _write_groups(file, rows.schema, chain(first, islice(groups, _GROUPS_PER_FILE - 1)))


def _write_groups(file: IO[bytes], schema: pa.Schema, groups: Iterable[pa.Table]) -> None:
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in groups:
            writer.write_table(group)


def _groups(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Windows put together to row groups, bounded in rows and bytes."""
    held: list[pa.RecordBatch] = []
    held_rows = held_bytes = 0
    for batch in rows:
        held.append(batch)
        held_rows += batch.num_rows
        held_bytes += batch_bytes(batch)
        if held_rows >= _GROUP_ROWS or held_bytes >= _GROUP_BYTES:
            yield pa.Table.from_batches(held)
            held, held_rows, held_bytes = [], 0, 0
    if held:
        yield pa.Table.from_batches(held)


def write_jsonl(rows: pa.RecordBatchReader, path: str | Path) -> Path:
    """Write one JSON object per row, in the order of the columns."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    names = rows.schema.names
    with whole_file(target, SHARED_MODE) as file:
        for batch in rows:
            columns = [_json_values(column) for column in batch.columns]
            for values in zip(*columns, strict=True):
                file.write(jsonl.dumps_foreign(dict(zip(names, values, strict=True))) + b"\n")
    return target


def _json_values(column: pa.Array) -> list[Any]:
    """Python values; vectors as float32 arrays, which print in their own few digits."""
    if isinstance(column, pa.ListArray) and column.values.type == pa.float32():
        values = column.values.to_numpy(zero_copy_only=False)
        bounds = column.offsets.to_numpy()
        spans = zip(column.is_valid().to_pylist(), bounds[:-1], bounds[1:], strict=True)
        return [values[start:stop] if valid else None for valid, start, stop in spans]
    return column.to_pylist()


def write_csv(rows: pa.RecordBatchReader, path: str | Path) -> Path:
    """Write CSV with a header; what is no number, text, date or flag is written as its text."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    plain = pa.schema([_csv_field(field) for field in rows.schema])
    with whole_file(target, SHARED_MODE) as file, csv.CSVWriter(file, plain) as writer:
        for batch in rows:
            columns = [
                column if field.type == column.type else text_column(column)
                for field, column in zip(plain, batch.columns, strict=True)
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=plain))
    return target


def _csv_field(field: pa.Field) -> pa.Field:
    is_plain = any(is_kind(field.type) for is_kind in _CSV_TYPES)
    return field if is_plain else field.with_type(pa.large_string())


_CSV_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_date,
    pa.types.is_null,
)
