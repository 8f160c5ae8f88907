"""A table that can be read once: pinned into the run directory as an Arrow file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ipc

from batchkit.durable import whole_file
from batchkit.tables.digest import Digester, TableDigest
from batchkit.tables.pinned import PinnedFile, PinnedTable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchkit.tables.pinned import Origin

__all__ = ["TableStream", "batch_bytes", "digest_stream", "pin_stream"]

PINNED_NAME = "table.arrow"
_GROUP_ROWS = 65_536
_GROUP_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class TableStream:
    """Record batches of one schema, to be read once; `description` says what it was.

    With an `origin` the table is known again by that, without reading it.
    """

    description: str
    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    origin: Origin | None = None


def pin_stream(stream: TableStream, folder: Path) -> PinnedTable:
    """Write the stream to `table.arrow` in the folder, exact in every type, and read it there."""
    path = folder / PINNED_NAME
    digester = Digester(stream.schema)
    with whole_file(path) as file:
        groups = _write(_noted(stream.batches, digester), stream.schema, file)
    pinned = PinnedFile(PINNED_NAME, "arrow", path.stat().st_size, None, groups)
    return PinnedTable(
        stream.description, stream.schema, (pinned,), digester.digest(), stream.origin
    )


def digest_stream(stream: TableStream) -> TableDigest:
    """The digest that `pin_stream` would give, without writing."""
    digester = Digester(stream.schema)
    for _ in _noted(stream.batches, digester):
        pass
    return digester.digest()


def _noted(batches: Iterator[pa.RecordBatch], digester: Digester) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        digester.add(batch)
        yield batch


def batch_bytes(batch: pa.RecordBatch) -> int:
    """What a batch takes in memory; more than that for types older Arrows cannot measure."""
    try:
        return batch.nbytes
    except pa.ArrowTypeError:  # views, before pyarrow 22
        return batch.get_total_buffer_size()


def _write(batches: Iterator[pa.RecordBatch], schema: pa.Schema, file: BinaryIO) -> tuple[int, ...]:
    rows: list[int] = []
    dictionaries = _Dictionaries()
    options = ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    with ipc.new_file(file, schema, options=options) as writer:
        for group in _groups(map(dictionaries.grow, batches), schema):
            writer.write_batch(group)
            rows.append(group.num_rows)
    return tuple(rows)


def _groups(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows in groups that are neither small nor large, whatever the batches they came in."""
    held: list[pa.RecordBatch] = []
    held_rows = held_bytes = 0
    for batch in batches:
        for part in _parts(batch):
            if held and (
                held_rows + part.num_rows > _GROUP_ROWS
                or held_bytes + batch_bytes(part) > _GROUP_BYTES
            ):
                yield _merged(held, schema)
                held, held_rows, held_bytes = [], 0, 0
            held.append(part)
            held_rows += part.num_rows
            held_bytes += batch_bytes(part)
    if held:
        yield _merged(held, schema)


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    bytes_per_row = max(1, batch_bytes(batch) // max(1, batch.num_rows))
    rows = max(1, min(_GROUP_ROWS, _GROUP_BYTES // bytes_per_row))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _merged(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches, schema).combine_chunks().to_batches()[0]


class _Dictionaries:
    """One growing dictionary per dictionary column: an Arrow file holds no other kind.

    Categories of Polars and others differ from batch to batch; values and order stay.
    """

    def __init__(self) -> None:
        self._known: dict[str, pa.Array] = {}

    def grow(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [
            self._unified(field.name, column) if isinstance(column, pa.DictionaryArray) else column
            for field, column in zip(batch.schema, batch.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)

    def _unified(self, name: str, column: pa.DictionaryArray) -> pa.Array:
        values = column.dictionary
        known = self._known.setdefault(name, values)
        if values.equals(known):
            return column
        new = values.filter(pc.invert(pc.is_in(values, known)))
        self._known[name] = known = pa.concat_arrays([known, new])
        indices = pc.index_in(values, known).take(column.indices)
        whole = pa.DictionaryArray.from_arrays(indices, known)
        return whole.cast(column.type)
