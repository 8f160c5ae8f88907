"""Whether Parquet files of a run hold the rows that they must, before anything is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchkit.damage import damaged, reading
from batchkit.outcome import STATUSES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "check_columns",
    "check_no_nulls",
    "check_numbers",
    "check_rows",
    "check_size_of_rows",
    "check_statuses",
]

# Rows of ours take a byte or more; a file that says that it holds many more is a bomb.
_ROWS_PER_BYTE = 64


def check_rows(path: Path, rows: int) -> None:
    """Raise RunDirectoryError unless a rows file holds so many, by its footer and by its size."""
    with reading(path):
        metadata = pq.read_metadata(path)
        check_size_of_rows(path, metadata)
    if metadata.num_rows != rows:
        raise damaged(path, f"{metadata.num_rows:,} rows, and it had {rows:,}")


def check_size_of_rows(path: Path, metadata: pq.FileMetaData) -> None:
    """Raise ValueError for a file that is too small for the rows that it says it has."""
    size = path.stat().st_size
    if metadata.num_rows > size * _ROWS_PER_BYTE:
        message = f"{metadata.num_rows:,} rows in {size:,} bytes"
        raise ValueError(message)


def check_columns(found: pa.Schema, expected: pa.Schema) -> None:
    """Raise ValueError for columns of other names or types."""
    if not found.equals(expected):
        differing = [f for f in (*expected, *found) if f not in expected or f not in found]
        message = f"its columns are not those of the run: {differing[0] if differing else 'order'}"
        raise ValueError(message)


def check_numbers(column: pa.ChunkedArray, first_row: int, rows: int) -> NDArray[np.int64]:
    """Row numbers, which rise and are those of the shard; ValueError when they are not."""
    numbers: Any = column.to_numpy()
    is_whole = column.type == pa.int64() and not column.null_count
    if not is_whole or (len(numbers) and not _is_within(numbers, first_row, rows)):
        message = f"row numbers that are not those of rows {first_row:,} to {first_row + rows:,}"
        raise ValueError(message)
    return numbers


def _is_within(numbers: NDArray[np.int64], first_row: int, rows: int) -> bool:
    rises = bool(np.all(np.diff(numbers) > 0))
    return rises and first_row <= int(numbers[0]) and int(numbers[-1]) < first_row + rows


def check_no_nulls(column: pa.ChunkedArray) -> None:
    """Raise ValueError for a column that lacks a value."""
    if column.null_count:
        message = f"{column.null_count:,} nulls where there are none"
        raise ValueError(message)


def check_statuses(column: pa.ChunkedArray) -> None:
    """Raise ValueError for a status that there is not."""
    found = {count["values"] for count in pc.value_counts(column).to_pylist()}
    if not found <= {*STATUSES}:
        message = "a status that there is not"
        raise ValueError(message)
