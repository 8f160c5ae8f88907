"""A table that can be read again: files that are known to be what the run was built from."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc

from batchkit.errors import RunChangedError, TableError
from batchkit.tables.bounds import check_bounds
from batchkit.tables.digest import TableDigest
from batchkit.tables.stored import check_stored_file, check_stored_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "Origin",
    "Partition",
    "Piece",
    "PinnedFile",
    "PinnedTable",
    "conformed",
    "parquet_batches",
]

Format: TypeAlias = Literal["parquet", "arrow"]
Partition: TypeAlias = "tuple[tuple[str, str | None], ...]"
# What tells a table elsewhere from another without reading it: generations of objects, a query.
Origin: TypeAlias = "Mapping[str, Any]"

_BATCH_ROWS = 16_384
_BATCH_BYTES = 32_000_000
_BUFFER_BYTES = 1_048_576
_PARQUET_RATIO = 4  # bytes in memory for one byte of Parquet


@dataclass(frozen=True, slots=True)
class Piece:
    """Groups `start` to `stop` of one file; `first_row` counts from the table's start.

    A group is a row group of Parquet or a record batch of Arrow. `partition` has the columns that
    stand in the names of the file's folders, with their value.
    """

    path: str
    format: Format
    start: int
    stop: int
    first_row: int
    rows: int
    partition: Partition = ()

    def batches(self, folder: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Its rows in order, as batches of this schema; raises TableError.

        The schema may name fewer columns than the file has, in another order.
        """
        path = folder / self.path
        values = dict(self.partition)
        names = [name for name in schema.names if name not in values]
        read = _file_batches if self.format == "parquet" else _arrow_batches
        try:
            for batch in read(path, range(self.start, self.stop), names):
                yield conformed(batch, schema, values)
        except (OSError, pa.ArrowException) as error:
            message = f"{path} cannot be read: {error}"
            raise TableError(message) from error

    def to_json(self) -> dict[str, Any]:
        """The piece as JSON, for a task."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Piece:
        """What `to_json` wrote."""
        plain: dict[str, Any] = {**content, "partition": _partition(content["partition"])}
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """One file: where, in which format, its size and time, and the rows of each group.

    `modified` is in nanoseconds, None for a file inside the run directory, which nobody else
    writes.
    """

    path: str
    format: Format
    bytes: int
    modified: int | None
    group_rows: tuple[int, ...]
    partition: Partition = ()

    @property
    def rows(self) -> int:
        """Rows in the file."""
        return sum(self.group_rows)

    def piece(self, start: int, stop: int, first_row: int) -> Piece:
        """Some of its groups, which follow one another."""
        rows = sum(self.group_rows[start:stop])
        return Piece(self.path, self.format, start, stop, first_row, rows, self.partition)

    def state(self, folder: Path) -> tuple[int, int] | None:
        """Its size and time as they are now; None when it is gone."""
        path = folder / self.path
        return (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else None

    def to_json(self) -> dict[str, Any]:
        """The file as it stands in `run.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> PinnedFile:
        """What `to_json` wrote; ValueError for a file that no run was built from."""
        check_stored_file(content)
        rows = tuple(content["group_rows"])
        pairs = _partition(content["partition"])
        plain: dict[str, Any] = {**content, "group_rows": rows, "partition": pairs}
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class PinnedTable:
    """All files of a table, in order, with its schema; `digest` tells one stream from another.

    A stream that came from elsewhere is told by its `origin` instead. Paths of files inside the
    run directory are relative to it, so that it can be moved.
    """

    description: str
    schema: pa.Schema
    files: tuple[PinnedFile, ...]
    digest: TableDigest | None = None
    origin: Origin | None = None

    @property
    def rows(self) -> int:
        """Rows in the table."""
        return sum(file.rows for file in self.files)

    @property
    def is_outside(self) -> bool:
        """Whether its files stay outside the run directory, where others may change them."""
        return any(file.modified is not None for file in self.files)

    def bundles(self, enough_bytes: float) -> Iterator[tuple[Piece, ...]]:
        """The table in pieces that follow one another, each bundle of so many bytes in memory.

        Roughly: Parquet is counted larger than it is on disk. A group is never cut.
        """
        bundle: list[Piece] = []
        size = 0.0
        first_row = 0
        for file in self.files:
            row_bytes = _row_bytes(file)
            start = 0
            for group, rows in enumerate(file.group_rows, start=1):
                size += rows * row_bytes
                if size >= enough_bytes or group == len(file.group_rows):
                    bundle.append(file.piece(start, group, first_row))
                    first_row += bundle[-1].rows
                    start = group
                if size >= enough_bytes:
                    yield tuple(bundle)
                    bundle, size = [], 0.0
        if bundle:
            yield tuple(bundle)

    def columns(self, names: Sequence[str]) -> pa.Schema:
        """The schema of some of its columns, in this order."""
        return pa.schema([self.schema.field(name) for name in names])

    def batches(self, folder: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """All rows in order, as batches of this schema; `folder` is the run directory."""
        first_row = 0
        for file in self.files:
            yield from file.piece(0, len(file.group_rows), first_row).batches(folder, schema)
            first_row += file.rows

    def changes(self, folder: Path) -> dict[str, tuple[Any, Any]]:
        """Size and time of each file that is gone or changed: as pinned, and now (None: gone)."""
        return {
            str(folder / file.path): ((file.bytes, file.modified), now)
            for file in self.files
            if file.modified is not None
            and (now := file.state(folder)) != (file.bytes, file.modified)
        }

    def check_unchanged(self, folder: Path) -> None:
        """Raise RunChangedError when a file is gone, or is not what the run was built from."""
        changes = self.changes(folder)
        if changes:
            message = (
                f"{next(iter(changes))} is gone or changed since the run was built; answers stay "
                "joined by key: restore the file, or collect with source='carried'"
            )
            raise RunChangedError(message, changes)

    def to_json(self) -> dict[str, Any]:
        """The table as it stands in `run.json`."""
        return {
            "description": self.description,
            "schema": base64.b64encode(self.schema.serialize().to_pybytes()).decode(),
            "columns": {field.name: str(field.type) for field in self.schema},
            "rows": self.rows,
            "digest": self.digest.to_json() if self.digest else None,
            "origin": dict(self.origin) if self.origin else None,
            "files": [file.to_json() for file in self.files],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> PinnedTable:
        """What `to_json` wrote; ValueError, or an error of Arrow's, for anything else."""
        check_stored_table(content)
        schema = ipc.read_schema(pa.py_buffer(base64.b64decode(content["schema"])))
        files = tuple(PinnedFile.from_json(file) for file in content["files"])
        digest = TableDigest.from_json(content["digest"]) if content["digest"] else None
        return cls(content["description"], schema, files, digest, content.get("origin"))


def _row_bytes(file: PinnedFile) -> float:
    """Roughly what a row takes in memory."""
    ratio = _PARQUET_RATIO if file.format == "parquet" else 1
    return ratio * file.bytes / max(1, file.rows)


def _partition(pairs: Sequence[Sequence[Any]]) -> Partition:
    return tuple((name, value) for name, value in pairs)


def _file_batches(
    path: Path, groups: Sequence[int], names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    # Not mapped into memory: a file that is cut short meanwhile would kill the process.
    # And page by page: a row group may be larger than the memory.
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
        yield from parquet_batches(file, groups, names)


def parquet_batches(
    file: pq.ParquetFile, groups: Sequence[int], names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Some columns of some row groups, in batches of bounded size."""
    columns = names or file.schema_arrow.names[:1]  # one at least, so that rows are counted
    rows = _batch_rows(file.metadata, groups)
    yield from file.iter_batches(rows, row_groups=groups, columns=columns)


def _batch_rows(metadata: pq.FileMetaData, groups: Sequence[int]) -> int:
    """As many rows at once as have 32 MB, where they are longest."""
    found = (metadata.row_group(group) for group in groups)
    longest = max((group.total_byte_size // max(1, group.num_rows) for group in found), default=0)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, longest)))


def _arrow_batches(
    path: Path, groups: Sequence[int], names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    # Not mapped into memory either: what was read of the file would count as ours to the end.
    with pa.OSFile(str(path)) as source:
        found = ipc.open_file(source).schema.names
        wanted = names or found[:1]  # one at least, so that rows are counted
        fields = [number for number, name in enumerate(found) if name in wanted]
        reader = ipc.open_file(source, options=ipc.IpcReadOptions(included_fields=fields))
        for group in groups:
            batch = reader.get_batch(group)
            check_bounds(batch)
            yield batch


def conformed(
    batch: pa.RecordBatch, schema: pa.Schema, values: Mapping[str, str | None]
) -> pa.RecordBatch:
    """The batch with the columns of the schema; those in `values` have one value everywhere."""
    columns = [
        pa.array([values[field.name]] * batch.num_rows, field.type)
        if field.name in values
        else _column(batch, field)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    """A column, which may be of the null type where a file has no value in it."""
    column = batch.column(field.name)
    return pa.nulls(len(column), field.type) if pa.types.is_null(column.type) else column
