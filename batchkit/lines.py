"""A record batch becomes request lines, the rows beside them, and the rows that have no request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchkit import jsonl
from batchkit.canonical import request_hash
from batchkit.encode import escape, join
from batchkit.fields import field_table
from batchkit.key import row_keys, wire_keys
from batchkit.specs.bodies import REJECTED
from batchkit.text import check_utf8

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchkit.specs.bodies import BoundSpec
    from batchkit.wire import Dialect

__all__ = ["REJECTED_ROWS", "EncodedBatch", "LineEncoder", "rows_schema"]

REJECTED_ROWS = pa.schema(
    [
        ("row", pa.int64()),
        ("key", pa.large_string()),
        ("path", pa.string()),
        ("reason", pa.string()),
    ]
)
_KEY_PATH = "$.key"


def rows_schema(source: pa.Schema, carried: Sequence[str]) -> pa.Schema:
    """The columns of a rows file; `source` holds the carried columns of the table, if any.

    `request_of` is the row whose request answers this row: itself, or null when it has none.
    """
    fields = [
        pa.field("row", pa.int64()),
        pa.field("wire_key", pa.large_string()),
        pa.field("request_of", pa.int64()),
        pa.field("request_hash", pa.string()),
    ]
    if carried:
        fields.append(pa.field("source", pa.struct([source.field(name) for name in carried])))
    return pa.schema(fields)


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """Equally long: `rows` (of `rows_schema`) and `lines` (null without a request).

    `rejected` (of `REJECTED_ROWS`) says why for each row that has none.
    """

    rows: pa.RecordBatch
    lines: pa.Array
    rejected: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class LineEncoder:
    """How rows of one table become lines; the same rows give the same bytes.

    `hashed` asks for the request hash, which costs as much as building does. A line of more than
    `max_bytes` is rejected.
    """

    bound: BoundSpec
    dialect: Dialect
    key: Sequence[str]
    carried: Sequence[str]
    schema: pa.Schema
    max_bytes: int
    hashed: bool = False

    @property
    def columns(self) -> list[str]:
        """The columns of the table that it reads; one at least, so that rows are counted."""
        needed = dict.fromkeys([*self.bound.columns, *self.key, *self.carried])
        return list(needed) or self.schema.names[:1]

    def encode(self, batch: pa.RecordBatch, first_row: int, bad_keys: pa.Table) -> EncodedBatch:
        """Lines and rows of a batch whose first row has this number in the table.

        `bad_keys` (of `BAD_KEYS`, in row order) are rows whose keys were found unusable. Raises
        TableError for text that is not UTF-8.
        """
        check_utf8(batch)
        named = self._named(batch, first_row)
        keys, rejected_keys = _without_bad(named, first_row, bad_keys)
        bodies = self.bound.bodies(batch)
        before, between, after = self.dialect.frame
        lines = join([before, escape(keys), between, *bodies.segments, after])
        lines, too_long = self._without_long(lines)
        rejected = _merged([rejected_keys, bodies.rejected, too_long], named, first_row)
        return EncodedBatch(self._rows(batch, first_row, keys, lines), lines, rejected)

    def _named(self, batch: pa.RecordBatch, first_row: int) -> pa.Array:
        if self.key:
            return wire_keys([batch.column(name) for name in self.key])
        return row_keys(first_row, batch.num_rows)

    def _without_long(self, lines: pa.Array) -> tuple[pa.Array, pa.RecordBatch]:
        lengths = pc.fill_null(pc.binary_length(lines), 0).to_numpy()
        long = np.flatnonzero(lengths > self.max_bytes)
        reasons = [f"{n} bytes, and a request may have {self.max_bytes}" for n in lengths[long]]
        if long.size:
            fits = pa.array(lengths <= self.max_bytes)
            lines = pc.if_else(fits, lines, pa.scalar(None, lines.type))
        return lines, _rejected(long.tolist(), "$", reasons)

    def _rows(
        self, batch: pa.RecordBatch, first_row: int, keys: pa.Array, lines: pa.Array
    ) -> pa.RecordBatch:
        numbers = pa.array(np.arange(first_row, first_row + batch.num_rows))
        request_of = pc.if_else(lines.is_valid(), numbers, pa.scalar(None, pa.int64()))
        hashes = self._hashes(lines) if self.hashed else pa.nulls(batch.num_rows, pa.string())
        columns = [numbers, keys, request_of, hashes]
        schema = rows_schema(self.schema, self.carried)
        if self.carried:
            fields = [self.schema.field(name) for name in self.carried]
            carried = [batch.column(name) for name in self.carried]
            columns.append(pa.StructArray.from_arrays(carried, fields=fields))
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _hashes(self, lines: pa.Array) -> pa.Array:
        table = field_table(self.dialect.service)
        hashes = (
            None
            if line is None
            else request_hash(jsonl.loads(line)["request"], table, self.dialect.request_type)
            for line in lines.to_pylist()
        )
        return pa.array(hashes, pa.string())


def _without_bad(
    keys: pa.Array, first_row: int, bad_keys: pa.Table
) -> tuple[pa.Array, pa.RecordBatch]:
    """The keys with null for those that may not be used, and those rows (of `REJECTED`)."""
    bounds = [first_row, first_row + len(keys)]
    start, stop = np.searchsorted(bad_keys.column("row").to_numpy(), bounds).tolist()
    here = bad_keys.slice(start, stop - start)
    offsets = here.column("row").to_numpy() - first_row
    if offsets.size:
        usable = np.ones(len(keys), np.bool_)
        usable[offsets] = False
        keys = pc.if_else(pa.array(usable), keys, pa.scalar(None, keys.type))
    return keys, _rejected(offsets.tolist(), _KEY_PATH, here.column("reason").to_pylist())


def _rejected(rows: Sequence[int], path: str, reasons: Sequence[str]) -> pa.RecordBatch:
    columns = [
        pa.array(rows, pa.int64()),
        pa.array([path] * len(rows), pa.string()),
        pa.array(reasons, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=REJECTED)


def _merged(rejected: Sequence[pa.RecordBatch], keys: pa.Array, first_row: int) -> pa.RecordBatch:
    """The first reason of each row, in row order, with row numbers of the table and keys."""
    both = pa.Table.from_batches(rejected, REJECTED).combine_chunks()
    rows, first = np.unique(both.column("row").to_numpy(), return_index=True)
    chosen = both.take(pa.array(first))
    columns = [
        pa.array(rows + first_row, pa.int64()),
        keys.take(pa.array(rows, pa.int64())),
        *(_one_array(chosen.column(name)) for name in ("path", "reason")),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=REJECTED_ROWS)


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.chunks else pa.nulls(0, column.type)
