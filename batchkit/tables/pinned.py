"""A table that can be read again: files that are known to be what the run was built from."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc

from batchkit.errors import RunChangedError, TableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Piece", "PinnedFile", "PinnedTable"]

_BATCH_ROWS = 16_384
_PARQUET_RATIO = 4  # bytes in memory for one byte of Parquet


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """One file: where, in which format, its size and time, and the rows of each group.

    A group is a row group of Parquet or a record batch of Arrow. `modified` is in nanoseconds,
    None for a file inside the run directory, which nobody else writes.
    """

    path: str
    format: Literal["parquet", "arrow"]
    bytes: int
    modified: int | None
    group_rows: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Rows in the file."""
        return sum(self.group_rows)


@dataclass(frozen=True, slots=True)
class Piece:
    """Groups of one file that follow one another; `first_row` counts from the table's start."""

    file: PinnedFile
    groups: tuple[int, ...]
    first_row: int

    @property
    def rows(self) -> int:
        """Rows in the piece."""
        return sum(self.file.group_rows[group] for group in self.groups)

    @property
    def estimated_bytes(self) -> float:
        """Roughly what its rows take in memory."""
        ratio = _PARQUET_RATIO if self.file.format == "parquet" else 1
        return ratio * self.file.bytes * self.rows / max(1, self.file.rows)

    def batches(self, folder: Path, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """Its rows in order, with these columns in this order (None: all); raises TableError."""
        path = folder / self.file.path
        reader = _parquet_batches if self.file.format == "parquet" else _arrow_batches
        try:
            yield from reader(path, self.groups, columns)
        except (OSError, pa.ArrowInvalid) as error:
            message = f"{path} cannot be read: {error}"
            raise TableError(message) from error

    def to_json(self) -> dict[str, Any]:
        """The piece as JSON, for a task."""
        file = self.file
        return {
            "path": file.path,
            "format": file.format,
            "bytes": file.bytes,
            "modified": file.modified,
            "group_rows": list(file.group_rows),
            "groups": list(self.groups),
            "first_row": self.first_row,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Piece:
        """What `to_json` wrote."""
        return cls(_file_from_json(content), tuple(content["groups"]), content["first_row"])


@dataclass(frozen=True, slots=True)
class PinnedTable:
    """All files of a table, in order, with its schema; `digest` tells one stream from another.

    Paths of files inside the run directory are relative to it, so that it can be moved.
    """

    description: str
    schema: pa.Schema
    files: tuple[PinnedFile, ...]
    digest: str | None = None

    @property
    def rows(self) -> int:
        """Rows in the table."""
        return sum(file.rows for file in self.files)

    @property
    def is_outside(self) -> bool:
        """Whether its files stay outside the run directory, where others may change them."""
        return any(file.modified is not None for file in self.files)

    def pieces(self) -> Iterator[Piece]:
        """One piece per group, in row order."""
        first_row = 0
        for file in self.files:
            for group, rows in enumerate(file.group_rows):
                yield Piece(file, (group,), first_row)
                first_row += rows

    def batches(self, folder: Path, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """All rows in order, with these columns; `folder` is the run directory."""
        for piece in self.pieces():
            yield from piece.batches(folder, columns)

    def check_unchanged(self, folder: Path) -> None:
        """Raise RunChangedError when a file is gone, or is not what the run was built from."""
        for file in self.files:
            if file.modified is None:
                continue
            path = folder / file.path
            now = (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else None
            if now != (file.bytes, file.modified):
                message = (
                    f"{path} is gone or changed since the run was built; answers stay joined by "
                    "key: restore the file, or collect with source='carried'"
                )
                changes = {"size and time": ((file.bytes, file.modified), now)}
                raise RunChangedError(message, changes)

    def to_json(self) -> dict[str, Any]:
        """The table as it stands in `run.json`."""
        return {
            "description": self.description,
            "schema": base64.b64encode(self.schema.serialize().to_pybytes()).decode(),
            "columns": {field.name: str(field.type) for field in self.schema},
            "rows": self.rows,
            "digest": self.digest,
            "files": [
                {
                    "path": file.path,
                    "format": file.format,
                    "bytes": file.bytes,
                    "modified": file.modified,
                    "group_rows": list(file.group_rows),
                }
                for file in self.files
            ],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> PinnedTable:
        """What `to_json` wrote."""
        schema = ipc.read_schema(pa.py_buffer(base64.b64decode(content["schema"])))
        files = tuple(_file_from_json(file) for file in content["files"])
        return cls(content["description"], schema, files, content["digest"])


def _file_from_json(content: Mapping[str, Any]) -> PinnedFile:
    return PinnedFile(
        content["path"],
        content["format"],
        content["bytes"],
        content["modified"],
        tuple(content["group_rows"]),
    )


def _parquet_batches(
    path: Path, groups: Sequence[int], columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path, memory_map=True) as file:
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=groups, columns=columns):
            yield batch if columns is None else batch.select(columns)


def _arrow_batches(
    path: Path, groups: Sequence[int], columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as source:
        reader = ipc.open_file(source)
        for group in groups:
            batch = reader.get_batch(group)
            yield batch if columns is None else batch.select(columns)
