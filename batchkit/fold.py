"""The current state of each row: a fold over the outcomes of all attempts, the first `ok` wins.

Among others the last stands, but for an answer that was cut short: it gives way to an answer only.
"""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchkit.damage import COLLECT_AGAIN, RESTORE, reading
from batchkit.layout import ROW
from batchkit.outcome import STATUSES
from batchkit.soundness import (
    check_columns,
    check_numbers,
    check_size_of_rows,
    check_statuses,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


__all__ = ["ShardOutcomes", "tally"]

_PENDING = -1
_WINDOW_BYTES = 64_000_000
# What an outcome is worth against another attempt's; all others are worth nothing.
_WORTH: Mapping[str, int] = MappingProxyType({"ok": 2, "truncated": 1})
_FAILURES = pa.schema(
    [
        ("row", pa.int64()),
        ("attempt", pa.int32()),
        ("status", pa.string()),
        ("error_code", pa.string()),
        ("error_message", pa.string()),
    ]
)
_WHY = ("error_code", "error_message")
_TOKENS = ("prompt_tokens", "output_tokens", "thoughts_tokens", "cached_tokens", "total_tokens")


class ShardOutcomes:
    """What became of the rows of one shard so far, by row number within it.

    `paths` are its outcomes files by attempt, in order; RunDirectoryError for a damaged one.
    `under_way` are the rows files of attempts that have none yet: unless such a row is `ok`, it is
    pending. Memory is that of three numbers a row and one window.
    """

    def __init__(  # noqa: PLR0917  # what a shard is
        self,
        paths: Mapping[int, Path],
        schema: pa.Schema,
        first_row: int,
        rows: int,
        under_way: Iterable[Path] = (),
    ) -> None:
        self._files = [
            _OutcomeRows(path, COLLECT_AGAIN if attempt else RESTORE, schema, (first_row, rows))
            for attempt, path in paths.items()
        ]
        self._attempts = np.array([*paths, _PENDING], np.int32)  # -1, the last, is pending
        self._schema = schema
        self._first_row = first_row
        self._file = np.full(rows, _PENDING, np.int32)
        self._position = np.zeros(rows, np.int64)
        worth = np.zeros(rows, np.int8)
        for number, file in enumerate(self._files):
            row, said = file.rows - first_row, file.worth()
            better = (said >= worth[row]) & (worth[row] < _WORTH["ok"])
            chosen = row[better]
            self._file[chosen] = number
            self._position[chosen] = np.flatnonzero(better)
            worth[chosen] = said[better]
        for path in under_way:
            with reading(path):
                check_size_of_rows(path, pq.read_metadata(path))
                table = pq.read_table(path, columns=[ROW])
                asked = check_numbers(table.column(0), first_row, rows) - first_row
            self._file[asked[worth[asked] < _WORTH["ok"]]] = _PENDING

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

    def failures(self) -> pa.Table:
        """The rows that have an outcome that is not `ok`, in order.

        Their `row`, the `attempt` it is from, `status`, `error_code` and `error_message`.
        """
        parts = [_FAILURES.empty_table()]
        for number, file in enumerate(self._files):
            positions = self._position[self._file == number]
            is_ok = pc.equal(file.statuses, "ok").to_numpy(zero_copy_only=False)
            failed = positions[~is_ok[positions]]
            if len(failed):
                attempts = np.full(len(failed), self._attempts[number])
                why = file.columns(_WHY).take(pa.array(failed)).columns
                said = file.statuses.take(pa.array(failed))
                columns = [pa.array(file.rows[failed]), pa.array(attempts), said, *why]
                parts.append(pa.table(columns, schema=_FAILURES))
        return pa.concat_tables(parts).combine_chunks().sort_by("row")

    def times_asked(self, refusals: Mapping[int, str]) -> NDArray[np.int64]:
        """How often each row was asked; `refusals` say which attempts were refused as a whole.

        They are the error messages of the rows that this befell, by attempt.
        """
        times = np.zeros(len(self._file), np.int64)
        for _, _, so_far in self._rounds(refusals):
            times = so_far
        return times

    def spent(self, refusals: Mapping[int, str]) -> list[Counter[str]]:
        """What asking for the first time came to, for the second time, and so on.

        How many requests there were, how many of them are `ok`, and the tokens by kind.
        """
        spent: list[Counter[str]] = []
        for file, asked, times in self._rounds(refusals):
            names = [name for name in _TOKENS if name in self._schema.names]
            table = file.columns(["status", *names]).filter(pa.array(asked))
            nth = times[file.rows[asked] - self._first_row]
            spent.extend(Counter[str]() for _ in range(int(nth.max(initial=0)) - len(spent)))
            numbers: list[int] = np.unique(nth).tolist()
            for number in numbers:
                part = table.filter(pa.array(nth == number))
                counts = spent[number - 1]
                counts["requests"] += part.num_rows
                counts["ok"] += pc.sum(pc.equal(part.column("status"), "ok")).as_py() or 0
                for name in names:
                    counts[name] += pc.sum(part.column(name)).as_py() or 0
        return spent

    def _rounds(
        self, refusals: Mapping[int, str]
    ) -> Iterator[tuple[_OutcomeRows, NDArray[np.bool_], NDArray[np.int64]]]:
        """Each attempt's file, which of its rows it asked, and how often all rows were by then."""
        times = np.zeros(len(self._file), np.int64)
        for number, file in zip(self._attempts.tolist(), self._files, strict=False):
            if number > 0:
                asked = file.asked(refusals.get(number))
                times[file.rows[asked] - self._first_row] += 1
                yield file, asked, times


class _OutcomeRows:
    """One outcomes file, read by position; its rows are sorted by row number."""

    def __init__(self, path: Path, remedy: str, schema: pa.Schema, shard: tuple[int, int]) -> None:
        self._path = path
        self._remedy = remedy
        self._held: dict[int, pa.Table] = {}
        with reading(path, remedy):
            metadata = pq.read_metadata(path)
            check_size_of_rows(path, metadata)
            check_columns(pq.read_schema(path), schema)
            table = pq.read_table(path, columns=[ROW, "status"])
            self.rows: NDArray[np.int64] = check_numbers(table.column(ROW), *shard)
            check_statuses(table.column("status"))
        self.statuses = pa.concat_arrays(table.column("status").chunks)
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        self._ends = np.cumsum([0, *(group.num_rows for group in groups)])
        sizes = [group.total_byte_size / max(group.num_rows, 1) for group in groups]
        self.bytes_per_row = max(sizes, default=0.0)

    def worth(self) -> NDArray[np.int8]:
        """What each outcome is worth."""
        worth = np.zeros(len(self.rows), np.int8)
        for status, value in _WORTH.items():
            worth[pc.equal(self.statuses, status).to_numpy(zero_copy_only=False)] = value
        return worth

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Some columns of all rows."""
        with reading(self._path, self._remedy):
            return pq.read_table(self._path, columns=list(names)).combine_chunks()

    def asked(self, refusal: str | None) -> NDArray[np.bool_]:
        """Which rows were asked: all but those whose error is that the whole was refused."""
        if refusal is None:
            return np.ones(len(self.rows), np.bool_)
        said = self.columns(["error_message"]).column(0)
        return ~pc.is_in(said, pa.array([refusal])).to_numpy()

    def read(self, start: int, stop: int) -> pa.Table:
        """The rows at these positions; the row groups last read are kept for the next window."""
        first = int(np.searchsorted(self._ends, start, side="right")) - 1
        last = int(np.searchsorted(self._ends, stop, side="left"))
        self._held = {g: self._held[g] for g in range(first, last) if g in self._held}
        new = [group for group in range(first, last) if group not in self._held]
        if new:
            with reading(self._path, self._remedy), pq.ParquetFile(self._path) as file:
                self._held |= {group: file.read_row_groups([group]) for group in new}
                for group in new:
                    self._held[group].validate(full=True)
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
