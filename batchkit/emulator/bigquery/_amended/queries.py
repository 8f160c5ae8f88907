"""Query jobs: run by bqemulator, with their rows put where the job says."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from bqemulator.api.routes.jobs import _handle_query_job
from bqemulator.jobs.executor import JOB_RESULTS, JOB_SCHEMAS
from bqemulator.row_access.identity import CallerIdentity

from .catalog import refresh
from .destinations import Destination
from .dialect import without_escapes
from .fields import legacy, quoted
from .job import Outcome
from .parts import part
from .refusals import refuse_query
from .sources import Source
from .statements import kind_of, tables_in

if TYPE_CHECKING:
    from bqemulator.api.dependencies import AppContext

    from .destinations import Destinations
    from .job import Job
    from .results import Results

__all__ = ["Queries"]

_CALLER = CallerIdentity(principal="user:anonymous@bqemulator.local", is_authenticated=False)
# What bqemulator reads and does not do, or does half.
_OURS = (
    "destinationTable",
    "writeDisposition",
    "createDisposition",
    "schemaUpdateOptions",
    "timePartitioning",
    "clustering",
)


class Queries:
    """Runs query jobs."""

    def __init__(self, ctx: AppContext, results: Results, destinations: Destinations) -> None:
        self._ctx = ctx
        self._results = results
        self._destinations = destinations

    async def __call__(self, job: Job) -> Outcome:
        """Run a query; its failure is an error of the outcome, or raised."""
        asked = job.section
        to = Destination.of(job.project, asked, "WRITE_EMPTY") if _has_table(asked) else None
        if to is not None:
            kind = kind_of(asked.get("query", ""))
            if kind in {"DDL", "DML"}:
                refuse_query(f"Cannot set destination table in jobs with {kind} statements")
            self._destinations.check_dataset(to.project, to.dataset)
        query = {name: value for name, value in asked.items() if name not in _OURS}
        query["query"] = without_escapes(asked.get("query", ""))
        dry_run = bool(job.configuration.get("dryRun"))
        # A dry run leaves a job behind, which is none.
        name = f"dry_{uuid.uuid4().hex}" if dry_run else job.id
        meta: Any = await _handle_query_job(
            job.project,
            name,
            {"query": query},
            dry_run=dry_run,
            ctx=self._ctx,
            caller=_CALLER,
            now=self._ctx.clock.now(),
        )
        if dry_run:
            self._ctx.catalog.delete_job(job.project, name)
            return Outcome(meta["statistics"])
        if meta.error_result:
            return Outcome(meta.statistics, meta.error_result)
        if to is not None:
            await self._put(job.id, to)
        elif meta.statistics["query"].get("statementType") != "SELECT":
            for table in tables_in(query["query"], job.project):
                refresh(self._ctx, *table)
        return Outcome(meta.statistics, None, self._destination(job, asked, meta))

    def _destination(self, job: Job, asked: dict[str, Any], meta: Any) -> dict[str, Any]:
        """Where the rows are: where the job put them, what a CREATE TABLE made, or anonymous."""
        kept = self._results.keep(job.project, job.id)
        if _has_table(asked):
            return asked["destinationTable"]
        made = part(meta.configuration["query"], "destinationTable")
        return kept if made.get("datasetId", "_").startswith("_") else made

    async def _put(self, job_id: str, to: Destination) -> None:
        rows = JOB_RESULTS[job_id]
        fields = [legacy(field) for field in JOB_SCHEMAS[job_id]]
        view = f"putting_{uuid.uuid4().hex}"
        columns = {field["name"]: quoted(field["name"]) for field in fields}
        self._ctx.engine.connection.register(view, rows)
        try:
            await self._destinations.put(to, Source(f"SELECT * FROM {view}", [], fields, columns))
        finally:
            self._ctx.engine.connection.unregister(view)
        if to.write == "WRITE_APPEND":
            # The rows of the job are those of its table.
            JOB_SCHEMAS[job_id] = self._destinations.fields(to) or []
            JOB_RESULTS[job_id] = self._ctx.engine.fetch_arrow(f"SELECT * FROM {to.ref}")


def _has_table(section: dict[str, Any]) -> bool:
    return "tableId" in part(section, "destinationTable")
