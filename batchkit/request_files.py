"""Lines cut into shards: a request file and a rows file each, never larger than a job may be."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batchkit.durable import whole_file
from batchkit.encode import content, line_ends

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.limits import Limits
    from batchkit.lines import EncodedBatch

__all__ = ["RequestFiles", "WrittenShard", "rejected_outcomes"]


@dataclass(frozen=True, slots=True)
class WrittenShard:
    """What the files of one shard hold; `rejected` of its `rows` have no request."""

    first_row: int
    rows: int
    requests: int
    rejected: int
    bytes: int
    sha256: str


class RequestFiles:
    """Writes a shard at a time into a folder; `shards` is complete when the `with` block ends.

    `<number>.jsonl` holds the lines, `<number>.parquet` the rows, `<number>-0.parquet` the outcome
    of rejected rows, if any. A file takes its name only when it is whole.
    """

    def __init__(self, folder: Path, limits: Limits, rows: pa.Schema, outcomes: pa.Schema) -> None:
        self.shards: list[WrittenShard] = []
        self._folder = folder
        self._limits = limits
        self._schemas = rows, outcomes
        self._open: _OpenShard | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        if error is None:
            self._close()
        elif self._open is not None:
            self._open.abandon(error)

    def add(self, encoded: EncodedBatch) -> None:
        """Write a batch, beginning a new shard wherever the limits ask for it."""
        ends = line_ends(encoded.lines)
        counts = np.cumsum(encoded.lines.is_valid().to_numpy(zero_copy_only=False))
        start = 0
        while start < len(ends):
            shard = self._open or self._begin()
            before = (ends[start - 1], counts[start - 1]) if start else (0, 0)
            room = max(0, self._limits.shard_bytes - shard.bytes)
            stop = min(
                _reach(ends, before[0] + room),
                _reach(counts, before[1] + self._limits.max_rows - shard.requests),
            )
            if stop <= start and shard.requests == 0:
                stop = _reach(ends, ends[start])  # a request larger than that is a shard of its own
            if stop > start:
                shard.write(encoded, start, stop)
            if stop < len(ends) and shard.requests:
                self._close()
            start = max(start, stop)

    def _begin(self) -> _OpenShard:
        self._open = _OpenShard(self._folder, len(self.shards), *self._schemas)
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            self.shards.append(self._open.close())
            self._open = None


def _reach(sums: np.ndarray, limit: int) -> int:
    """How many of the growing sums stay within the limit."""
    return int(np.searchsorted(sums, limit, side="right"))


class _OpenShard:
    """The files of one shard while they are written."""

    def __init__(self, folder: Path, number: int, rows: pa.Schema, outcomes: pa.Schema) -> None:
        self.bytes = 0
        self.requests = 0
        self._rows = 0
        self._first_row = 0
        self._rejected: pq.ParquetWriter | None = None
        self._outcomes = outcomes
        self._rejected_path = folder / f"{number}-0.parquet"
        self._hash = hashlib.sha256()
        self._files = contextlib.ExitStack()
        self._requests_file = self._files.enter_context(whole_file(folder / f"{number}.jsonl"))
        rows_file = self._files.enter_context(whole_file(folder / f"{number}.parquet"))
        self._rows_writer = self._files.enter_context(
            pq.ParquetWriter(rows_file, rows, compression="zstd", use_dictionary=False)
        )

    def write(self, encoded: EncodedBatch, start: int, stop: int) -> None:
        rows = encoded.rows.slice(start, stop - start)
        lines = encoded.lines.slice(start, stop - start)
        text = content(lines)
        self._requests_file.write(text)
        self._hash.update(text)
        self._rows_writer.write_batch(rows)
        if self._rows == 0:
            self._first_row = rows.column("row")[0].as_py()
        self.bytes += text.nbytes
        self.requests += len(lines) - lines.null_count
        self._rows += len(lines)
        self._write_rejected(encoded.rejected, rows)

    def _write_rejected(self, rejected: pa.RecordBatch, rows: pa.RecordBatch) -> None:
        numbers = rejected.column("row").to_numpy()
        bounds = [rows.column("row")[0].as_py(), rows.column("row")[-1].as_py() + 1]
        start, stop = np.searchsorted(numbers, bounds)
        if stop == start:
            return
        if self._rejected is None:
            file = self._files.enter_context(whole_file(self._rejected_path))
            writer = pq.ParquetWriter(file, self._outcomes, compression="zstd")
            self._rejected = self._files.enter_context(writer)
        here = rejected.slice(start, stop - start)
        self._rejected.write_batch(rejected_outcomes(here, self._outcomes))

    def abandon(self, error: BaseException) -> None:
        """Leave no file behind."""
        with contextlib.suppress(type(error)):
            self._files.__exit__(type(error), error, error.__traceback__)

    def close(self) -> WrittenShard:
        self._files.close()
        rejected = self._rows - self.requests
        digest = self._hash.hexdigest()
        return WrittenShard(
            self._first_row, self._rows, self.requests, rejected, self.bytes, digest
        )


def rejected_outcomes(rejected: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Rejected rows (of `REJECTED_ROWS`) as outcomes of this schema."""
    said = [
        f"{path}: {reason}"
        for path, reason in zip(
            rejected.column("path").to_pylist(), rejected.column("reason").to_pylist(), strict=True
        )
    ]
    known = {
        "row": rejected.column("row"),
        "status": pa.repeat("rejected", rejected.num_rows),
        "error_code": pa.repeat("REJECTED", rejected.num_rows),
        "error_message": pa.array(said, pa.string()),
    }
    columns = [known.get(field.name, pa.nulls(rejected.num_rows, field.type)) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
