"""The current state of each row: a fold over the outcomes of all attempts, the first `ok` wins."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchkit.damage import COLLECT_AGAIN, RESTORE, reading
from batchkit.layout import ROW
from batchkit.outcome import STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray


__all__ = ["ShardOutcomes", "tally"]

_PENDING = -1
_WINDOW_BYTES = 64_000_000


class ShardOutcomes:
    """What became of the rows of one shard so far, by row number within it.

    `paths` are its outcomes files by attempt, in order; RunDirectoryError for a damaged one.
    Memory is that of two numbers a row and one window.
    """

    def __init__(
        self, paths: Mapping[int, Path], schema: pa.Schema, first_row: int, rows: int
    ) -> None:
        self._files = [
            _OutcomeRows(path, COLLECT_AGAIN if attempt else RESTORE)
            for attempt, path in paths.items()
        ]
        self._attempts = np.array([*paths, _PENDING], np.int32)  # -1, the last, is pending
        self._schema = schema
        self._file = np.full(rows, _PENDING, np.int32)
        self._position = np.zeros(rows, np.int64)
        is_ok = np.zeros(rows, np.bool_)
        for number, file in enumerate(self._files):
            row, ok = file.rows_and_ok(first_row)
            open_rows = ~is_ok[row]
            chosen = row[open_rows]
            self._file[chosen] = number
            self._position[chosen] = np.flatnonzero(open_rows)
            is_ok[row] |= ok

    def window(self, start: int, stop: int) -> pa.Table:
        """The outcomes of some rows that follow one another; `pending` where there is none."""
        which, position = self._file[start:stop], self._position[start:stop]
        parts = [_pending_row(self._schema)]
        index = np.zeros(stop - start, np.int64)  # 0 is the pending row
        taken = 1
        numbers: list[int] = np.unique(which[which != _PENDING]).tolist()
        for number in numbers:
            here = which == number
            first, last = int(position[here].min()), int(position[here].max())
            part = self._files[number].read(first, last + 1)
            index[here] = taken + position[here] - first
            parts.append(part)
            taken += part.num_rows
        return pa.concat_tables(parts).combine_chunks().take(pa.array(index))

    @property
    def window_rows(self) -> int:
        """How many rows a window may have for about 64 MB, by the longest answers there are."""
        longest = max((file.bytes_per_row for file in self._files), default=1.0)
        return max(1, int(_WINDOW_BYTES / max(longest, 1.0)))

    def attempts(self, start: int, stop: int) -> NDArray[np.int32]:
        """The attempt that each of these rows has its outcome from; -1 for a pending row."""
        return self._attempts[self._file[start:stop]]

    def statuses(self) -> Counter[str]:
        """How many rows have each status."""
        counts: Counter[str] = Counter({"pending": int((self._file == _PENDING).sum())})
        for number, file in enumerate(self._files):
            chosen = self._position[self._file == number]
            for item in pc.value_counts(file.statuses.take(pa.array(chosen))).to_pylist():
                counts[item["values"]] += item["counts"]
        return counts


class _OutcomeRows:
    """One outcomes file, read by position; its rows are sorted by row number."""

    def __init__(self, path: Path, remedy: str) -> None:
        self._path = path
        self._remedy = remedy
        self._held: dict[int, pa.Table] = {}
        with reading(path, remedy):
            table = pq.read_table(path, columns=[ROW, "status"])
            metadata = pq.read_metadata(path)
        self._rows: NDArray[np.int64] = table.column(ROW).to_numpy()
        self.statuses = pa.concat_arrays(table.column("status").chunks)
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        self._ends = np.cumsum([0, *(group.num_rows for group in groups)])
        sizes = [group.total_byte_size / max(group.num_rows, 1) for group in groups]
        self.bytes_per_row = max(sizes, default=0.0)

    def rows_and_ok(self, first_row: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        ok = pc.equal(self.statuses, "ok").to_numpy(zero_copy_only=False)
        return self._rows - first_row, ok

    def read(self, start: int, stop: int) -> pa.Table:
        """The rows at these positions; the row groups last read are kept for the next window."""
        first = int(np.searchsorted(self._ends, start, side="right")) - 1
        last = int(np.searchsorted(self._ends, stop, side="left"))
        self._held = {g: self._held[g] for g in range(first, last) if g in self._held}
        new = [group for group in range(first, last) if group not in self._held]
        if new:
            with reading(self._path, self._remedy), pq.ParquetFile(self._path) as file:
                self._held |= {group: file.read_row_groups([group]) for group in new}
        table = pa.concat_tables([self._held[group] for group in range(first, last)])
        return table.slice(start - int(self._ends[first]), stop - start)


def _pending_row(schema: pa.Schema) -> pa.Table:
    columns = [
        pa.array(["pending"], field.type) if field.name == "status" else pa.nulls(1, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def tally(shards: Iterable[ShardOutcomes]) -> Mapping[str, int]:
    """Rows by status over all shards, in the order of `STATUSES`, zeros included.

    One shard is held at a time when `shards` makes them as they are asked for.
    """
    counts: Counter[str] = Counter()
    for shard in shards:
        counts.update(shard.statuses())
    return {status: counts[status] for status in STATUSES}
