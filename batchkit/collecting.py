"""One response file becomes outcomes: decoded, joined to the rows that asked, written in order."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchkit import jsonl
from batchkit.definition import Definition
from batchkit.durable import whole_file
from batchkit.join import Join, Placement
from batchkit.layout import ANSWER, RAW, ROW, outcome_schema
from batchkit.outcome import Response, Status, response_batch
from batchkit.outcome_file import OutcomeSorter
from batchkit.schema import answer_value, mismatch
from batchkit.wire import decode_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from batchkit.specs.spec import Spec

__all__ = ["Verdict", "collect_responses"]

_CHUNK_BYTES = 8_000_000
_CHUNK_LINES = 4_096
_RANGE_ROWS = 16_384
_RANGE_BYTES = 64_000_000
_ASIDE: Mapping[Placement, str] = MappingProxyType(
    {"unknown": "no row has this key", "unkeyed": "the line carries no key"}
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the rows that no line answers, by how their job ended."""

    status: Status
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """The rows of a shard that have a request: their numbers in the table, and their keys."""

    rows: NDArray[np.int64]
    keys: list[str]


def collect_responses(folder: Path, shard: str, attempt: int, verdict: Verdict) -> dict[str, Any]:
    """Write `outcomes/<shard>-<attempt>.parquet`, one row per row that asked, in source order.

    Lines that fit no row, and those that contradict each other, go to a file beside it. Returns
    the counts of lines by placement and of rows by status.
    """
    definition = Definition.read(folder)
    asked = _asked(folder / "rows" / f"{shard}.parquet")
    responses = folder / "responses" / f"{shard}-{attempt}.jsonl"
    outcomes = folder / "outcomes" / f"{shard}-{attempt}.parquet"
    collection = _Collection(definition, asked, responses)
    schema = outcome_schema(definition.spec, definition.layout)
    quarantine = outcomes.with_suffix(".quarantine.jsonl")
    with ExitStack() as stack:
        aside = stack.enter_context(whole_file(quarantine))
        width = _range_rows(len(asked.keys), responses)
        sorter = stack.enter_context(OutcomeSorter(schema, len(asked.keys), width, outcomes.parent))
        for batch in collection.batches(verdict, aside):
            sorter.add(batch)
        statuses = _write(outcomes, sorter, asked.rows, schema)
    with suppress(FileNotFoundError):  # another worker with the same task was faster
        if quarantine.stat().st_size == 0:
            quarantine.unlink()
    return {"lines": dict(collection.join.counts), "statuses": dict(statuses)}


def _asked(path: Path) -> _Asked:
    table = pq.read_table(path, columns=["row", "wire_key", "request_of"])
    table = table.filter(pc.equal(table.column("row"), table.column("request_of")))
    return _Asked(table.column("row").to_numpy(), table.column("wire_key").to_pylist())


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

    def __init__(self, definition: Definition, asked: _Asked, responses: Path) -> None:
        self.join = Join(asked.keys)
        self._spec = definition.spec
        self._schema = outcome_schema(definition.spec, definition.layout)
        self._raw = definition.layout.raw
        self._responses = responses

    def batches(self, verdict: Verdict, aside: IO[bytes]) -> Iterator[pa.RecordBatch]:
        """Outcomes by position: what lines say, then what contradictions and silence mean."""
        if self._responses.exists():
            with self._responses.open("rb") as file:
                for chunk in _chunks(file):
                    yield self._joined(chunk, aside)
        conflicts = sorted(self.join.conflicts)
        if conflicts:
            self._set_aside_conflicts(aside)
            message = "the service gave differing answers to one key"
            said = Response(None, "error", error_code="CONFLICT", error_message=message)
            yield self._batch(conflicts, [said] * len(conflicts))
        silent = self.join.unanswered()
        for start in range(0, len(silent), _RANGE_ROWS):
            positions = silent[start : start + _RANGE_ROWS]
            said = Response(
                None,
                verdict.status,
                error_code=verdict.error_code,
                error_message=verdict.error_message,
            )
            yield self._batch(positions, [said] * len(positions))

    def _joined(self, chunk: Sequence[tuple[int, bytes]], aside: IO[bytes]) -> pa.RecordBatch:
        positions: list[int] = []
        responses: list[Response] = []
        for numbered in chunk:
            line = numbered[1]
            response = decode_line(line, keep_body=self._raw)
            placement, position = self.join.place(response.key, line)
            if placement == "joined":
                positions.append(position)
                responses.append(response)
            elif placement == "unkeyed" and response.status == "malformed":
                self._set_aside(aside, numbered, response, str(response.error_message))
            elif placement in _ASIDE:
                self._set_aside(aside, numbered, response, _ASIDE[placement])
        return self._batch(positions, responses)

    def _set_aside_conflicts(self, aside: IO[bytes]) -> None:
        """Keep every line of the rows in conflict, the first ones, too."""
        with self._responses.open("rb") as file:
            for numbered in jsonl.lines(file):
                response = decode_line(numbered[1])
                if self.join.position(response.key) in self.join.conflicts:
                    self._set_aside(aside, numbered, response, "two answers differ")

    def _set_aside(
        self, aside: IO[bytes], numbered: tuple[int, bytes], response: Response, reason: str
    ) -> None:
        """Keep a line that fits no row, or contradicts another, with where it stood."""
        entry = {
            "file": f"responses/{self._responses.name}",
            "line": numbered[0],
            "key": response.key,
            "reason": reason,
            "text": numbered[1].decode(errors="replace"),
        }
        aside.write(jsonl.dumps(entry) + b"\n")

    def _batch(self, positions: Sequence[int], responses: Sequence[Response]) -> pa.RecordBatch:
        """The responses as outcomes, with the position where the row number will be."""
        fitted = [_fitted(response, self._spec) for response in responses]
        said = response_batch([response for response, _ in fitted], self._spec.answers)
        known = {
            **dict(zip(said.schema.names, said.columns, strict=True)),
            ROW: pa.array(positions, pa.int64()),
            RAW: pa.array([response.body for response in responses], pa.large_string()),
        }
        if ANSWER in self._schema.names:
            kind = self._schema.field(ANSWER).type
            known[ANSWER] = pa.array([answer for _, answer in fitted], kind)
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


def _fitted(response: Response, spec: Spec) -> tuple[Response, Any]:
    """The response held against what was asked, and its answer by schema."""
    if response.status not in {"ok", "truncated"}:
        return response, None
    reason = _other_than_asked(response.embedding, spec)
    if reason:
        return replace(response, status="malformed", embedding=None, error_message=reason), None
    schema = spec.answer_schema
    if schema is None or response.status != "ok" or response.text is None:
        return response, None
    return _by_schema(response, response.text, schema)


def _other_than_asked(vector: NDArray[np.float32] | None, spec: Spec) -> str | None:
    """Why an answer is not of the kind that was asked for, or its vector not of the length."""
    if vector is None and "embedding" in spec.answers:
        return "the answer is no vector, and one was asked for"
    if vector is not None and "embedding" not in spec.answers:
        return "the answer is a vector, and none was asked for"
    wanted = getattr(spec, "dimensions", None)
    if wanted and vector is not None and len(vector) != wanted:
        return f"the vector has {len(vector)} values, {wanted} were asked for"
    return None


def _by_schema(response: Response, text: str, schema: Mapping[str, Any]) -> tuple[Response, Any]:
    try:
        value = jsonl.loads_lenient(text.encode())
    except (ValueError, RecursionError) as error:
        reason = f"the answer is not JSON: {error}"
        return replace(response, status="malformed", error_message=reason), None
    reason = mismatch(value, schema)
    if reason:
        said = f"the answer does not fit the schema: {reason}"
        return replace(response, status="malformed", error_message=said), None
    return response, answer_value(value, schema)
