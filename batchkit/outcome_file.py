"""Outcomes that come in any order, gathered and given back in source order in bounded memory."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
from pyarrow import ipc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["OutcomeSorter"]

_HELD_BYTES = 64_000_000
_MOST_RANGES = 512


class OutcomeSorter:
    """Batches whose first column is a position, put in the order of positions.

    Positions are cut into ranges of `width`; when there are several, they wait in a folder in
    `scratch`, so that memory holds one range and 64 MB. Of several rows with one position, the
    one added last stays. Use it as a context manager.
    """

    def __init__(self, schema: pa.Schema, positions: int, width: int, scratch: Path) -> None:
        self._schema = schema
        self._width = max(width, -(-positions // _MOST_RANGES), 1)
        self._ranges = -(-positions // self._width)
        self._scratch = scratch
        self._stack = contextlib.ExitStack()
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0
        self._folder: Path | None = None
        self._writers: dict[int, ipc.RecordBatchStreamWriter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch of any positions."""
        self._held.append(batch)
        self._held_bytes += batch.nbytes
        if self._held_bytes > _HELD_BYTES and self._ranges > 1:
            self._scatter()

    def tables(self) -> Iterator[pa.Table]:
        """All rows by position, a range at a time; nothing can be added afterwards."""
        if self._folder is None:
            yield from self._sorted_pieces(self._held)
            return
        self._scatter()
        for writer in self._writers.values():
            writer.close()
        for number in sorted(self._writers):
            with ipc.open_stream(pa.memory_map(str(self._folder / str(number)))) as reader:
                yield _sorted(pa.Table.from_batches(list(reader), self._schema))

    def _sorted_pieces(self, batches: list[pa.RecordBatch]) -> Iterator[pa.Table]:
        table = _sorted(pa.Table.from_batches(batches, self._schema))
        for start in range(0, table.num_rows, self._width):
            yield table.slice(start, self._width)

    def _scatter(self) -> None:
        """Move the held rows to the files of their ranges."""
        if not any(batch.num_rows for batch in self._held):
            return
        table = pa.Table.from_batches(self._held, self._schema).combine_chunks()
        self._held, self._held_bytes = [], 0
        ranges = table.column(0).to_numpy() // self._width
        order = np.argsort(ranges, kind="stable")
        numbers, starts = np.unique(ranges[order], return_index=True)
        stops = [*starts[1:], len(order)]
        for number, start, stop in zip(numbers.tolist(), starts, stops, strict=True):
            self._writer(number).write_table(table.take(pa.array(order[start:stop])))

    def _writer(self, number: int) -> ipc.RecordBatchStreamWriter:
        if self._folder is None:
            folder = tempfile.TemporaryDirectory(dir=self._scratch, prefix=".sort-", suffix=".tmp")
            self._folder = Path(self._stack.enter_context(folder))
        if number not in self._writers:
            writer = ipc.new_stream(str(self._folder / str(number)), self._schema)
            self._writers[number] = writer
        return self._writers[number]


def _sorted(table: pa.Table) -> pa.Table:
    """The rows by position, each position once, with what was added last."""
    positions: NDArray[np.int64] = table.column(0).to_numpy()
    backwards = positions[::-1]
    _, first = np.unique(backwards, return_index=True)
    return table.combine_chunks().take(pa.array(len(positions) - 1 - first))
