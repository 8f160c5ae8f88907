"""One response file becomes outcomes: decoded, joined to the rows that asked, written in order."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, suppress
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchkit import jsonl
from batchkit.asked import Asked
from batchkit.definition import Definition
from batchkit.durable import whole_file
from batchkit.echoes import Echoes, line_digest
from batchkit.fitting import fitted
from batchkit.join import Join, Placement
from batchkit.layout import ANSWER, RAW, ROW, outcome_schema
from batchkit.ledger import Attempt
from batchkit.outcome import Response, response_batch
from batchkit.outcome_file import OutcomeSorter
from batchkit.quarantine import Quarantine
from batchkit.wire import decode_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from batchkit.verdict import Verdict

__all__ = ["collect_responses"]

_CHUNK_BYTES = 8_000_000
_CHUNK_LINES = 4_096
_RANGE_ROWS = 16_384
_RANGE_BYTES = 64_000_000
_ASIDE: Mapping[Placement, str] = MappingProxyType(
    {"unknown": "no row has this key", "unkeyed": "the line carries no key"}
)
# The same for lines that carry only the request they answer.
_NOT_ASKED: Mapping[Placement | None, str] = MappingProxyType(
    {"unknown": "no row waits for an answer to this request", "conflict": "two answers differ"}
)
_OUTDONE = "another line with its key echoes what the row asked"


def collect_responses(folder: Path, shard: str, attempt: int, verdict: Verdict) -> dict[str, Any]:
    """Write `outcomes/<shard>-<attempt>.parquet`, one row per row that asked, in source order.

    Lines that fit no row, and those that contradict each other, go to a file beside it. Returns
    the counts of lines by placement and of rows by status.
    """
    definition = Definition.read(folder)
    asked = Asked.read(folder, Attempt(shard, attempt).asked_name, definition)
    responses = folder / "responses" / f"{shard}-{attempt}.jsonl"
    outcomes = folder / "outcomes" / f"{shard}-{attempt}.parquet"
    collection = _Collection(definition, asked, responses)
    schema = outcome_schema(definition.spec, definition.layout)
    quarantine = outcomes.with_suffix(".quarantine.jsonl")
    with ExitStack() as stack:
        aside = Quarantine(stack.enter_context(whole_file(quarantine)), responses.name)
        width = _range_rows(len(asked.keys), responses)
        sorter = stack.enter_context(OutcomeSorter(schema, len(asked.keys), width, outcomes.parent))
        for batch in collection.batches(verdict, aside):
            sorter.add(batch)
        statuses = _write(outcomes, sorter, asked.rows, schema)
    with suppress(FileNotFoundError):  # another worker with the same task was faster
        if quarantine.stat().st_size == 0:
            quarantine.unlink()
    return {"lines": dict(collection.counts), "statuses": dict(statuses)}


def _range_rows(rows: int, responses: Path) -> int:
    """How many rows are sorted at once: as many as have about 64 MB of responses."""
    size = responses.stat().st_size if responses.exists() else 0
    return max(1, min(_RANGE_ROWS, _RANGE_BYTES * rows // max(size, 1)))


def _write(
    path: Path, sorter: OutcomeSorter, rows: NDArray[np.int64], schema: pa.Schema
) -> Counter[str]:
    """The sorted outcomes as Parquet, positions turned into row numbers."""
    statuses: Counter[str] = Counter()
    with (
        whole_file(path) as file,
        pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=["status"]) as writer,
    ):
        for table in sorter.tables():
            numbers = pa.array(rows[table.column(0).to_numpy()])
            columns = [numbers, *(table.column(i) for i in range(1, table.num_columns))]
            writer.write_table(pa.table(columns, schema=schema))
            counts = pc.value_counts(table.column("status")).to_pylist()
            statuses.update({count["values"]: count["counts"] for count in counts})
    return statuses


class _Collection:
    """The lines of one response file on their way to rows."""

    def __init__(self, definition: Definition, asked: Asked, responses: Path) -> None:
        self.counts: Counter[Placement] = Counter()
        self._asked = asked
        self._join = Join(asked.keys)
        self._echoes = Echoes()
        self._spec = definition.spec
        self._schema = outcome_schema(definition.spec, definition.layout)
        self._raw = definition.layout.raw
        self._responses = responses

    def batches(self, verdict: Verdict, aside: Quarantine) -> Iterator[pa.RecordBatch]:
        """Outcomes by position: what lines say, then what contradictions and silence mean."""
        if self._responses.exists():
            with self._responses.open("rb") as file:
                for chunk in _chunks(file):
                    yield self._joined(chunk, aside)
        self.counts += self._join.counts
        conflicts = dict.fromkeys(self._join.conflicts)
        if self._echoes or (conflicts and self._asked.dialect.echoes):
            yield from self._echoed(conflicts, aside)
        if conflicts:
            self._set_aside_conflicts(conflicts, aside)
            message = "the service gave differing answers to one key"
            said = Response(None, "error", error_code="CONFLICT", error_message=message)
            yield self._batch(sorted(conflicts), [said] * len(conflicts))
        silent = self._join.unanswered()
        for start in range(0, len(silent), _RANGE_ROWS):
            positions = silent[start : start + _RANGE_ROWS]
            said = Response(
                None,
                verdict.status,
                error_code=verdict.error_code,
                error_message=verdict.error_message,
            )
            yield self._batch(positions, [said] * len(positions))

    def _joined(self, chunk: Sequence[tuple[int, bytes]], aside: Quarantine) -> pa.RecordBatch:
        positions: list[int] = []
        responses: list[Response] = []
        for numbered in chunk:
            line = numbered[1]
            response = self._decoded(line)
            key = self._key(response)
            echo = self._echo(response, line) if key is None else None
            if echo is not None:
                self._echoes.add(echo, line, numbered[0])
                continue
            placement, position = self._join.place(key, line)
            if placement == "joined":
                positions.append(position)
                responses.append(response)
            elif placement == "unkeyed" and response.status == "malformed":
                aside.keep(numbered, response, str(response.error_message))
            elif placement in _ASIDE:
                aside.keep(numbered, response, _ASIDE[placement])
        return self._batch(positions, responses)

    def _key(self, response: Response) -> str | None:
        """The key that a line carries, or that our label in its echo names."""
        if response.key is not None or response.label is None:
            return response.key
        return self._asked.labels.get(response.label)

    def _echo(self, response: Response, line: bytes) -> str | None:
        """The hash of the request that a line echoes which names no row.

        One with a label of another run, whose request was sent again, gets it only here.
        """
        return response.request_hash if response.label is None else decode_line(line).request_hash

    def _echoed(self, conflicts: dict[int, None], aside: Quarantine) -> Iterator[pa.RecordBatch]:
        """What echoes decide: lines that carry nothing else, and which of differing answers is it.

        Takes from `conflicts` what is decided, and adds what cannot be.
        """
        hashes = self._asked.hashes()
        won = self._winners(conflicts, hashes)
        settled = self._echoes.settle(hashes, self._join.unanswered())
        self.counts += settled.counts
        self._join.answer([*settled.joined.values(), *settled.conflicts])
        for position in won:
            del conflicts[position]
        conflicts |= dict.fromkeys(settled.conflicts)
        chosen = {**settled.joined, **{number: position for position, (_, number) in won.items()}}
        with self._responses.open("rb") as file:
            for chunk in _chunks(file):
                positions = [chosen[number] for number, _ in chunk if number in chosen]
                lines = [line for number, line in chunk if number in chosen]
                yield self._batch(positions, [self._decoded(line) for line in lines])
                for numbered in chunk:
                    reason = _NOT_ASKED.get(settled.others.get(numbered[0]))
                    if reason:
                        aside.keep(numbered, self._decoded(numbered[1]), reason)
        self._set_losers_aside(won, aside)

    def _winners(
        self, conflicts: Collection[int], hashes: Sequence[str | None]
    ) -> dict[int, tuple[bytes, int]]:
        """Of differing answers to one key, the one that echoes what the row asked.

        Its digest and line number by position; none where several do, or no line does.
        """
        found: dict[int, dict[bytes, int]] = {}
        for (number, line), position in self._lines_of(conflicts):
            if decode_line(line).request_hash == hashes[position]:
                found.setdefault(position, {}).setdefault(line_digest(line), number)
        return {
            position: next(iter(lines.items()))
            for position, lines in found.items()
            if len(lines) == 1
        }

    def _set_losers_aside(self, won: Mapping[int, tuple[bytes, int]], aside: Quarantine) -> None:
        for numbered, position in self._lines_of(won):
            if line_digest(numbered[1]) != won[position][0]:
                aside.keep(numbered, self._decoded(numbered[1]), _OUTDONE)

    def _set_aside_conflicts(self, conflicts: Collection[int], aside: Quarantine) -> None:
        """Keep every line of the rows in conflict, the first ones, too."""
        for numbered, _ in self._lines_of(conflicts):
            aside.keep(numbered, self._decoded(numbered[1]), "two answers differ")

    def _lines_of(self, positions: Collection[int]) -> Iterator[tuple[tuple[int, bytes], int]]:
        """The numbered lines that a key or a label gives to one of these rows, read again."""
        if not positions:
            return
        with self._responses.open("rb") as file:
            for numbered in jsonl.lines(file):
                position = self._join.position(self._key(self._decoded(numbered[1])))
                if position is not None and position in positions:
                    yield numbered, position

    def _decoded(self, line: bytes) -> Response:
        return decode_line(line, keep_body=self._raw, hash_echo="unnamed")

    def _batch(self, positions: Sequence[int], responses: Sequence[Response]) -> pa.RecordBatch:
        """The responses as outcomes, with the position where the row number will be."""
        pairs = [fitted(response, self._spec) for response in responses]
        said = response_batch([response for response, _ in pairs], self._spec.answers)
        known = {
            **dict(zip(said.schema.names, said.columns, strict=True)),
            ROW: pa.array(positions, pa.int64()),
            RAW: pa.array([response.body for response in responses], pa.large_string()),
        }
        if ANSWER in self._schema.names:
            kind = self._schema.field(ANSWER).type
            known[ANSWER] = pa.array([answer for _, answer in pairs], kind)
        columns = [known[field.name] for field in self._schema]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def _chunks(file: IO[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    """Numbered lines in lists that are bounded in lines and in bytes."""
    chunk: list[tuple[int, bytes]] = []
    size = 0
    for number, line in jsonl.lines(file):
        chunk.append((number, line))
        size += len(line)
        if size >= _CHUNK_BYTES or len(chunk) >= _CHUNK_LINES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
