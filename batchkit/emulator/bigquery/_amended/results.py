"""The rows that queries gave: a bounded number of bytes of them, in tables without a name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from bqemulator.jobs.executor import JOB_RESULTS, JOB_SCHEMAS
from bqemulator.storage.arrow_bridge import arrow_table_to_bq_rows
from bqemulator.storage.sql_identifiers import quoted_schema, quoted_table_ref

from .refusals import refuse_missing

if TYPE_CHECKING:
    import pyarrow as pa
    from bqemulator.storage.engine import DuckDBEngine

    from .fields import Field

__all__ = ["ANONYMOUS", "Results", "page"]

# Datasets whose names begin with an underscore are hidden, as BigQuery's for results are.
ANONYMOUS = "_anonymous"
_MOST_BYTES = 1024**3
_PAGE_BYTES = 10 * 1024**2


class Results:
    """The rows of the last queries; bqemulator itself would keep those of all of them."""

    def __init__(self, engine: DuckDBEngine, most_bytes: int = _MOST_BYTES) -> None:
        self._engine = engine
        self._most_bytes = most_bytes
        self._jobs: dict[str, str] = {}

    def keep(self, project: str, job_id: str) -> dict[str, Any]:
        """Keep what a job left, let go of the oldest, and say in which table its rows are."""
        table = f"anon{hashlib.sha256(job_id.encode()).hexdigest()[:40]}"
        self._jobs[table] = job_id
        kept = sum(JOB_RESULTS[job].nbytes for job in self._jobs.values())
        while kept > self._most_bytes and len(self._jobs) > 1:
            kept -= self._let_go(project, next(iter(self._jobs)))
        return {"projectId": project, "datasetId": ANONYMOUS, "tableId": table}

    def of_job(self, job_id: str) -> tuple[pa.Table, list[Field]]:
        """A job's rows and fields; NotFoundError when they were let go."""
        if job_id not in JOB_RESULTS:
            refuse_missing(f"the rows of job {job_id} are not kept any more")
        return JOB_RESULTS[job_id], JOB_SCHEMAS.get(job_id, [])

    def of_table(self, table: str) -> tuple[pa.Table, list[Field]]:
        """The rows and fields of an anonymous table."""
        return self.of_job(self._jobs.get(table, table))

    def materialise(self, project: str, table: str) -> None:
        """Make an anonymous table one of DuckDB's, for the Storage API to read."""
        rows, _ = self.of_table(table)
        view = f"materialising_{table}"
        self._engine.connection.register(view, rows)
        try:
            self._engine.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted_schema(project, ANONYMOUS)}")
            self._engine.execute(
                f"CREATE OR REPLACE TABLE {quoted_table_ref(project, ANONYMOUS, table)} "
                f"AS SELECT * FROM {view}"
            )
        finally:
            self._engine.connection.unregister(view)

    def _let_go(self, project: str, table: str) -> int:
        job_id = self._jobs.pop(table)
        JOB_SCHEMAS.pop(job_id, None)
        self._engine.execute(f"DROP TABLE IF EXISTS {quoted_table_ref(project, ANONYMOUS, table)}")
        return JOB_RESULTS.pop(job_id).nbytes


def page(rows: pa.Table, start: int, most: int | None) -> tuple[list[dict[str, Any]], int | None]:
    """Rows from `start` as the REST API writes them, and where a next page starts.

    A page holds some 10 MB at most, however many rows were asked for.
    """
    wide = max(1, rows.nbytes // max(1, rows.num_rows))
    count = max(1, min(most or rows.num_rows, _PAGE_BYTES // wide))
    end = start + count
    said = arrow_table_to_bq_rows(rows, offset=start, limit=count) if start < len(rows) else []
    return said, end if end < rows.num_rows else None
