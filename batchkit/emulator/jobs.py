"""Batch jobs as values, and the table they are kept in."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Literal

from batchkit.emulator.errors import ApiError, Rpc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchkit.emulator.models import Kind
    from batchkit.emulator.paging import Page
    from batchkit.emulator.state import State

__all__ = ["EndState", "Job", "Jobs"]

EndState = Literal["SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"]

_TABLES = """
CREATE TABLE IF NOT EXISTS {table} (
    id TEXT PRIMARY KEY, kind TEXT, model TEXT, display_name TEXT, file_name TEXT,
    priority INTEGER, total INTEGER, created INTEGER, starts INTEGER, due INTEGER,
    expires INTEGER, imported INTEGER, state TEXT, ended INTEGER, succeeded INTEGER,
    failed INTEGER, error_code INTEGER, error_message TEXT
);
CREATE TABLE IF NOT EXISTS processed (wire_key TEXT PRIMARY KEY, times INTEGER) WITHOUT ROWID;
"""
_KEEP = """
INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    total = excluded.total, imported = excluded.imported, state = excluded.state,
    ended = excluded.ended, succeeded = excluded.succeeded, failed = excluded.failed,
    error_code = excluded.error_code, error_message = excluded.error_message
"""
_FIND = "SELECT * FROM {table} WHERE id = ?"
_PAGE = "SELECT rowid, * FROM {table} WHERE rowid < ? ORDER BY rowid DESC LIMIT ?"
_ALL = "SELECT * FROM {table} ORDER BY rowid"
_ALIVE = "SELECT count(*) FROM {table} WHERE state = '' AND due > ?1 AND expires > ?1"
_DUE = """
SELECT id FROM {table} WHERE state = '' AND
    (due <= ?1 OR expires <= ?1 OR (starts <= ?1 AND NOT imported)) ORDER BY rowid
"""
_DROP = "DELETE FROM {table} WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Job:
    """One job; times in nanoseconds since 1970.

    What is planned: `starts`, `due` and `expires`. What has happened: `imported` once its rows are
    on disk, and an end `state` with the counts of answered rows. `file_name` is empty when the
    requests came in another way; `total` is 0 until somebody knows it.
    """

    id: str
    kind: Kind
    model: str
    display_name: str
    file_name: str
    priority: int
    total: int
    created: int
    starts: int
    due: int
    expires: int
    imported: bool = False
    state: EndState | Literal[""] = ""
    ended: int = 0
    succeeded: int = 0
    failed: int = 0
    error_code: int = 0
    error_message: str = ""

    @property
    def output_file(self) -> str:
        """The id of the file with its responses: longer than file ids may be.

        https://github.com/googleapis/python-genai/issues/1759
        """
        return f"batch-{self.id}"

    @property
    def blob(self) -> str:
        """What the names of its blobs begin with."""
        return f"job-{self.id}"

    @property
    def input_blob(self) -> str:
        """The lines of its input file: they stay readable when the file is deleted."""
        return f"{self.blob}.input"

    @property
    def columns_blob(self) -> str:
        """What its input table has beside its requests."""
        return f"{self.blob}.columns"

    @property
    def output_blob(self) -> str:
        """Its responses, a line each."""
        return f"{self.blob}.output"

    def answered(self, at: int) -> int:
        """How many rows are answered at an instant of its life, the first rows first."""
        if self.state:
            return self.succeeded + self.failed
        if at <= self.starts:
            return 0
        duration = self.due - self.starts
        return self.total * (at - self.starts) // duration if at < self.due else self.total

    def state_at(self, at: int) -> str:
        """Its state as in the API, without the prefix."""
        return self.state or ("PENDING" if at <= self.starts else "RUNNING")


class Jobs:
    """The jobs of one service, and how often the emulator processed each wire key.

    `table` is their table in the state, and a constant of the service.
    """

    def __init__(self, state: State, table: str = "jobs") -> None:
        self._state = state
        self._table = table
        state.define(_TABLES.format(table=table))

    def find(self, job_id: str) -> Job:
        """A job; ApiError 404 when there is none."""
        row = self._state.row(self._of(_FIND), job_id)
        if row is None:
            raise ApiError(Rpc.NOT_FOUND, "Requested entity was not found.")
        return Job(*row)

    def page(self, page: Page) -> list[tuple[int, Job]]:
        """Sequence number and job, newest first: one more than the page holds if there are more."""
        rows = self._state.rows(self._of(_PAGE), page.before, page.size + 1)
        return [(row[0], Job(*row[1:])) for row in rows]

    def all(self) -> list[Job]:
        """Every job, oldest first."""
        return [Job(*row) for row in self._state.rows(self._of(_ALL))]

    def alive(self, at: int) -> int:
        """How many jobs are neither ended nor due at an instant."""
        return self._state.value(self._of(_ALIVE), at)

    def due(self, at: int) -> list[str]:
        """The ids of jobs to which something has happened by an instant, oldest first."""
        return [job_id for (job_id,) in self._state.rows(self._of(_DUE), at)]

    def keep(self, job: Job) -> None:
        """Write a job, new or with what has happened to it since."""
        with self._state.transaction() as database:
            database.execute(self._of(_KEEP), astuple(job))

    def drop(self, job_id: str) -> None:
        """Forget a job."""
        with self._state.transaction() as database:
            database.execute(self._of(_DROP), [job_id])

    def count_processed(self, wire_keys: Iterable[str]) -> None:
        """Count each key once more."""
        with self._state.transaction() as database:
            database.executemany(
                "INSERT INTO processed VALUES (?, 1) "
                "ON CONFLICT (wire_key) DO UPDATE SET times = times + 1",
                ((wire_key,) for wire_key in wire_keys),
            )

    def processed(self) -> dict[str, int]:
        """How often each wire key was processed."""
        return dict(self._state.rows("SELECT * FROM processed"))

    def _of(self, query: str) -> str:
        return query.format(table=self._table)
