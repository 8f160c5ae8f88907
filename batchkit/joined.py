"""Source rows and their outcomes side by side, in source order, a window at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchkit.damage import RESTORE, check_size, damaged, reading
from batchkit.errors import RunDirectoryError, TableError
from batchkit.layout import ANSWER, PROVENANCE, ROW, result_fields
from batchkit.tables.bounds import check_bounds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchkit.fold import ShardOutcomes
    from batchkit.ledger import Attempt
    from batchkit.rundir import Run, Shard

__all__ = ["JoinedRows"]

_WINDOW_ROWS = 16_384


class JoinedRows:
    """The rows of a run's result; `schema` is the source's columns and then ours.

    `integers` names the whole-number columns among ours. `source="carried"` takes from the source
    only what travelled with the run, or else the row numbers. RunChangedError when the source's
    files are needed and have changed.
    """

    def __init__(self, run: Run, source: Literal["table", "carried"]) -> None:
        self._run = run
        self._definition = definition = run.definition
        schema = definition.table.schema
        self._is_carried = source == "carried" and definition.table.is_outside
        if self._is_carried:
            carried = [schema.field(name) for name in definition.carry]
            schema = pa.schema(carried or [pa.field("row", pa.int64())])
        else:
            definition.table.check_unchanged(run.folder)
        self._source_schema = schema
        ours = result_fields(schema, definition.spec, definition.layout)
        self.schema: pa.Schema = pa.schema([*schema, *ours], metadata=schema.metadata)
        self.integers: list[str] = [field.name for field in ours if pa.types.is_integer(field.type)]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows; each batch lies within one shard."""
        shards = map(self._opened, self._run.shards.shards)
        shard, position, rows = None, 0, 0
        for batch in self._source():
            taken, rows = 0, rows + batch.num_rows
            self._check(rows <= self._run.shards.rows)
            while taken < batch.num_rows:
                if shard is None or position == shard.rows:
                    shard, position = next(shards), 0
                count = min(batch.num_rows - taken, shard.rows - position, shard.window_rows)
                window = batch.slice(taken, count)
                yield self._joined(window, shard, position)
                taken, position = taken + count, position + count
        self._check(rows == self._run.shards.rows)

    def _check(self, has_its_rows: bool) -> None:  # noqa: FBT001  # what is checked
        """Raise unless the source gives as many rows as the run was built of."""
        if not has_its_rows:
            reason = f"its rows are not the {self._run.shards.rows:,} that the run was built of"
            raise damaged(self._run.folder / self._definition.table.files[0].path, reason)

    def _opened(self, shard: Shard) -> _OpenShard:
        outcomes = self._run.outcomes(shard)
        window_rows = min(_WINDOW_ROWS, outcomes.window_rows)
        if not self._definition.layout.provenance:
            return _OpenShard(shard.name, shard.rows, outcomes, window_rows, None, {}, {})
        attempts = self._run.ledger.attempts(shard.name)
        path = self._run.rows_path(shard.name)
        with reading(path):
            hashes = pq.read_table(path, columns=["request_hash"]).column(0)
        jobs = {attempt.number: attempt.job for attempt in attempts}
        changed = {a.number: self._hashes(shard, a) for a in attempts if a.max_output_tokens}
        return _OpenShard(shard.name, shard.rows, outcomes, window_rows, hashes, jobs, changed)

    def _hashes(self, shard: Shard, attempt: Attempt) -> dict[int, str]:
        """The hashes of an attempt's own requests, by their rows' places in the shard."""
        path = self._run.rows_path(attempt.asked_name)
        with reading(path):
            table = pq.read_table(path, columns=[ROW, "request_hash"])
        places = (table.column(ROW).to_numpy() - shard.first_row).tolist()
        return dict(zip(places, table.column("request_hash").to_pylist(), strict=True))

    def _source(self) -> Iterator[pa.RecordBatch]:
        if not self._is_carried:
            yield from self._table()
            return
        names = self._definition.carry
        for shard in self._run.shards.shards:
            column = "source" if names else "row"
            path = self._run.rows_path(shard.name)
            with reading(path), pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_WINDOW_ROWS, columns=[column]):
                    check_bounds(batch)
                    held = batch.column(column)
                    arrays = [pc.struct_field(held, [i]) for i in range(len(names))] or [held]
                    yield pa.RecordBatch.from_arrays(arrays, schema=self._source_schema)

    def _table(self) -> Iterator[pa.RecordBatch]:
        table = self._definition.table
        table.check_unchanged(self._run.folder)
        for file in table.files:
            if file.modified is None:
                check_size(self._run.folder / file.path, file.bytes)
        try:
            yield from table.batches(self._run.folder, table.schema)
        except TableError as error:
            if table.is_outside:
                raise
            message = f"{error}: {RESTORE}"
            raise RunDirectoryError(message, self._run.folder) from error
        table.check_unchanged(self._run.folder)

    def _joined(self, window: pa.RecordBatch, shard: _OpenShard, start: int) -> pa.RecordBatch:
        stop = start + window.num_rows
        found = shard.outcomes.window(start, stop)
        columns: dict[str, pa.Array] = {}
        for field in found.schema:
            column = _one_array(found.column(field.name))
            if field.name == ANSWER and isinstance(column, pa.StructArray) and self._flatten:
                columns.update(zip(_names(column), column.flatten(), strict=True))
            elif field.name != ROW:
                columns[field.name] = column
        if self._definition.layout.provenance:
            columns |= shard.provenance(start, stop)
        prefix = self._definition.layout.prefix
        names = [name.removeprefix(prefix) for name in self.schema.names[window.num_columns :]]
        ours = [columns[name] for name in names]
        return pa.RecordBatch.from_arrays([*window.columns, *ours], schema=self.schema)

    @property
    def _flatten(self) -> bool:
        return self._definition.layout.flatten


@dataclass(frozen=True, slots=True)
class _OpenShard:
    """One shard while its rows are read; all but the outcomes are for provenance only.

    `changed` has the hashes of attempts whose requests are not those of the shard.
    """

    name: str
    rows: int
    outcomes: ShardOutcomes
    window_rows: int
    hashes: pa.ChunkedArray | None
    jobs: Mapping[int, str | None]
    changed: Mapping[int, Mapping[int, str]]

    def provenance(self, start: int, stop: int) -> dict[str, pa.Array]:
        """Where each answer came from; null for rows that were never sent."""
        attempts = self.outcomes.attempts(start, stop).tolist()
        sent = [number if number > 0 else None for number in attempts]
        hashes = (
            self.hashes.slice(start, stop - start).to_pylist() if self.hashes is not None else []
        )
        for place, number in enumerate(attempts, start):
            if number in self.changed:
                hashes[place - start] = self.changed[number][place]
        values = {
            "job": [None if number is None else self.jobs.get(number) for number in sent],
            "shard": [None if number is None else self.name for number in sent],
            "attempt": sent,
            "request_hash": hashes,
            "answered_by": [None if number is None else "job" for number in sent],
        }
        return {name: pa.array(values[name], kind) for name, kind in PROVENANCE}


def _names(column: pa.StructArray) -> list[str]:
    return [column.type.field(index).name for index in range(column.type.num_fields)]


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.chunks else pa.nulls(0, column.type)
