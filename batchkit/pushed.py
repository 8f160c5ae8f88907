"""A run whose rows stay in BigQuery: requests are made there, and answers joined and counted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from batchkit import durable
from batchkit.errors import CapabilityError, SetupError
from batchkit.events import Built, Said
from batchkit.key import NAMED_KEYS, BadKey, bad_keys_error
from batchkit.layout import result_fields
from batchkit.outcome import STATUSES
from batchkit.pushdown.results import IN_ORDER, Sent, Silence
from batchkit.pushdown.statements import Statements
from batchkit.rundir import Shard, Shards
from batchkit.verdict import refusal_of, verdict_of
from batchkit.warehouse import TableName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from batchkit.definition import Definition
    from batchkit.events import Progress
    from batchkit.layout import Layout
    from batchkit.limits import Limits
    from batchkit.rundir import Run
    from batchkit.specs.spec import Spec
    from batchkit.tables.resident import Resident
    from batchkit.warehouse import TableOptions, Warehouse

__all__ = [
    "BLOCK_ROWS",
    "Balance",
    "PushedRows",
    "balance",
    "build_there",
    "check_pushdown",
    "planned",
    "results_table",
    "statements_of",
]

BLOCK_ROWS = 1_000  # what jobs are cut by


def planned(  # noqa: PLR0917  # what a run is
    resident: Resident,
    spec: Spec,
    key: tuple[str, ...],
    layout: Layout,
    target: str | None,
    run_id: str = "run",
) -> Statements:
    """The SQL of a run with pushdown; SetupError for a target that takes no tables."""
    if target is None or not target.startswith("bq://"):
        message = "pushdown=True needs target='bq://project.dataset', where its tables go"
        raise SetupError(message)
    rows = TableName.parse(target).beside(f"batchkit_{run_id}_rows")
    return Statements(resident, spec, key, layout, rows)


def statements_of(definition: Definition) -> Statements:
    """The SQL of a run that is defined."""
    resident = definition.resident
    if resident is None:
        message = "the rows of this run are here, not in BigQuery"
        raise AssertionError(message)
    given = (definition.spec, definition.key, definition.layout, definition.target, definition.id)
    return planned(resident, *given)


def check_pushdown(statements: Statements, output: str | None, warehouse: Warehouse) -> None:
    """Raise, before anything is made, for what SQL cannot do or reach."""
    if output is not None:
        message = f"output={output!r}: with pushdown SQL reads the answers, which it cannot there"
        raise CapabilityError(message)
    _check_place(statements, warehouse)
    statements.numbered()
    statements.result({}, ())


def _check_place(statements: Statements, warehouse: Warehouse) -> None:
    resident, rows = statements.resident, statements.rows
    place = warehouse.location(rows)
    if resident.location is not None and resident.location != place:
        message = (
            f"bq://{rows.project}.{rows.dataset} lies in {place}, and {resident.source} in "
            f"{resident.location}: SQL does not reach across; name a dataset in "
            f"{resident.location}, or leave pushdown out"
        )
        raise SetupError(message)


def build_there(run: Run, warehouse: Warehouse, tell: Progress) -> None:
    """Number the rows and write their requests in BigQuery, and cut them into jobs.

    The request file of a shard is the SELECT that gives its requests. Safe to repeat from any
    point: tables are filled by jobs that run once.
    """
    definition, statements = run.definition, statements_of(run.definition)
    resident, rows = statements.resident, statements.rows
    tell(Said(f"BigQuery writes the requests into {rows}"))
    numbered = statements.numbered()
    _keep(run, "rows", numbered)
    count = warehouse.fill(numbered, rows, statements.rows_job)
    resident.check_unchanged(definition.table, warehouse)
    if definition.on_bad_key == "raise":
        _check_keys(statements, count, warehouse)
    block_rows = min(BLOCK_ROWS, definition.limits.max_rows)
    blocks = warehouse.query_rows(statements.blocks(block_rows)).batches
    cut = _cut((block for batch in blocks for block in batch.to_pylist()), definition.limits)
    shards = [_shard(run, statements, f"{number:05d}", piece) for number, piece in enumerate(cut)]
    rejected = sum(shard.rows - shard.requests for shard in shards)
    run.finish_build(Shards(str(definition.target), rejected, tuple(shards)))
    tell(Built(count, count, run.folder))
    if rejected:
        said = f"{rejected:,} of {count:,} rows could not become requests"
        tell(Said(f"{said}: see batchkit_reason in {rows}", is_warning=True))


def _keep(run: Run, name: str, sql: str) -> None:
    """Write down what BigQuery is asked, for whoever wants to know."""
    durable.make_folder(run.folder / "sql")
    durable.write_whole(run.folder / "sql" / f"{name}.sql", sql.encode())


def _check_keys(statements: Statements, rows: int, warehouse: Warehouse) -> None:
    answer = warehouse.query_rows(statements.bad_keys(NAMED_KEYS))
    found = [row for batch in answer.batches for row in batch.to_pylist()]
    if found:
        total = found[0].pop("total")
        named = [BadKey(row["row"], row["key"], row["reason"]) for row in found]
        raise bad_keys_error(total, rows, statements.key, named)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows that follow one another, their requests, and the bytes these would have as lines."""

    first_row: int
    rows: int
    requests: int
    bytes: int


def _cut(blocks: Iterable[Mapping[str, int]], limits: Limits) -> list[_Piece]:
    """Blocks put together, as many as one job may hold."""
    pieces: list[_Piece] = []
    for block in blocks:
        last = pieces[-1] if pieces else _Piece(0, 0, 0, 0)
        grown = replace(
            last,
            rows=last.rows + block["rows"],
            requests=last.requests + block["requests"],
            bytes=last.bytes + block["bytes"],
        )
        if pieces and grown.rows <= limits.max_rows and grown.bytes <= limits.shard_bytes:
            pieces[-1] = grown
        else:
            first = last.first_row + last.rows
            pieces.append(_Piece(first, block["rows"], block["requests"], block["bytes"]))
    return pieces


def _shard(run: Run, statements: Statements, name: str, piece: _Piece) -> Shard:
    sql = statements.requests(piece.first_row, piece.first_row + piece.rows).encode()
    path = run.requests_path(name)
    durable.make_folder(path.parent)
    durable.write_whole(path, sql)
    digest = hashlib.sha256(sql).hexdigest()
    return Shard(name, piece.first_row, piece.rows, piece.requests, piece.bytes, digest)


def _outputs(run: Run) -> dict[TableName, str]:
    """The output tables of jobs that have ended, with the type of their `response`."""
    facts = [attempt.last("fetched") for attempt in run.attempts()]
    found = [fact.content for fact in facts if fact and fact.content.get("table")]
    return {TableName.parse(each["table"]): each["response"] for each in found}


def _silences(run: Run) -> list[Silence]:
    silences: list[Silence] = []
    for shard in run.shards.shards:
        attempt = run.ledger.attempts(shard.name)[-1]
        if attempt.stage == "fetched":
            said = verdict_of(attempt)
            message = said.error_message and said.error_message.replace("\0", "\ufffd")
            stop = shard.first_row + shard.rows
            sent = Sent(attempt.job or "", shard.name, attempt.number)
            rows = (shard.first_row, stop)
            silences.append(Silence(*rows, said.status, said.error_code, message, sent))
    return silences


@dataclass(frozen=True, slots=True)
class Balance:
    """Rows by status, lines by placement, and what asking came to: requests, `ok`, tokens."""

    statuses: Mapping[str, int]
    lines: Mapping[str, int]
    spent: Mapping[str, int]


def balance(run: Run, warehouse: Warehouse) -> Balance:
    """What has become of rows and lines, counted by BigQuery in one query."""
    sql = statements_of(run.definition).balance(_outputs(run), _silences(run))
    _keep(run, "balance", sql)
    found: dict[str, dict[str, int]] = {"status": {}, "lines": {}, "tokens": {}}
    for batch in warehouse.query_rows(sql).batches:
        for row in batch.to_pylist():
            found[row["what"]][row["name"]] = row["number"]
    statuses = {status: found["status"].get(status, 0) for status in STATUSES}
    lines = {name: count for name, count in found["lines"].items() if count}
    spent = {"requests": _asked(run), "ok": statuses["ok"], **found["tokens"]}
    return Balance(statuses, lines, spent)


def _asked(run: Run) -> int:
    """Requests of jobs that have ended and were not refused as a whole."""
    return sum(
        shard.requests
        for shard, attempt in run.asked()
        if attempt.stage == "fetched" and refusal_of(attempt) is None
    )


def results_table(definition: Definition) -> TableName:
    """Where the result goes when no other table is named."""
    return statements_of(definition).rows.beside(f"batchkit_{definition.id}_results")


class PushedRows:
    """The rows of such a run's result, joined by SQL; they come here only when they are read.

    `schema` and `integers` are those of `JoinedRows`.
    """

    def __init__(self, run: Run, warehouse: Warehouse) -> None:
        definition = run.definition
        source = definition.table.schema
        ours = result_fields(source, definition.spec, definition.layout)
        self.schema: pa.Schema = pa.schema([*source, *ours])
        self.integers: list[str] = [field.name for field in ours if pa.types.is_integer(field.type)]
        self.table: TableName = results_table(definition)
        self._sql = statements_of(definition).result(_outputs(run), _silences(run))
        self._job = f"batchkit-{definition.id}"
        self._warehouse = warehouse
        _keep(run, "result", self._sql)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows in the order of their keys, by a query that sorts them."""
        for batch in self._warehouse.query_rows(self._sql + IN_ORDER).batches:
            columns = [batch.column(field.name).cast(field.type) for field in self.schema]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def fill(self, to: TableName, options: TableOptions) -> None:
        """Write them into a table by one job, whose id follows from them, `to` and the options."""
        identity = hashlib.sha256(repr((str(to), options, self._sql)).encode()).hexdigest()
        self._warehouse.fill(self._sql, to, f"{self._job}-{identity[:20]}", options=options)
