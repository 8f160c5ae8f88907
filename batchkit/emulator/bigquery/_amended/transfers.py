"""Extract jobs, from a table to objects, and copy jobs, from a table to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bqemulator.jobs.executor import _copy_relation_to_file, execute_copy_job
from bqemulator.storage.sql_identifiers import quoted_table_ref

from .destinations import Destination
from .fields import quoted
from .job import Outcome
from .parts import items
from .refusals import refuse, refuse_missing
from .sources import Source

if TYPE_CHECKING:
    from bqemulator.api.dependencies import AppContext

    from .destinations import Destinations
    from .job import Job
    from .objects import Objects

__all__ = ["Copies", "Extracts"]

_FIRST_FILE = "000000000000"


class Extracts:
    """Runs extract jobs; each URI gets one file, where BigQuery may write several."""

    def __init__(self, ctx: AppContext, objects: Objects) -> None:
        self._ctx = ctx
        self._objects = objects

    async def __call__(self, job: Job) -> Outcome:
        """Write a table to the objects that a job names."""
        table: dict[str, Any] = job.section["sourceTable"]
        owner = table.get("projectId") or job.project
        if self._ctx.catalog.get_table(owner, table["datasetId"], table["tableId"]) is None:
            name = f"{owner}:{table['datasetId']}.{table['tableId']}"
            refuse_missing(f"Table {name}")
        uris = items(job.section, "destinationUris") or items(job.section, "destinationUri")
        rows = f"SELECT * FROM {quoted_table_ref(owner, table['datasetId'], table['tableId'])}"
        for uri in uris:
            path = self._objects.path_for(uri.replace("*", _FIRST_FILE))
            _copy_relation_to_file(
                rows,
                path,
                job.section.get("destinationFormat", "CSV"),
                self._ctx,
                header=job.section.get("printHeader", True),
                field_delimiter=job.section.get("fieldDelimiter"),
                compression=job.section.get("compression"),
            )
            self._objects.send(path)
        return Outcome({"extract": {"destinationUriFileCounts": ["1"] * len(uris)}})


class Copies:
    """Runs copy jobs of one table."""

    def __init__(self, ctx: AppContext, destinations: Destinations) -> None:
        self._ctx = ctx
        self._destinations = destinations

    async def __call__(self, job: Job) -> Outcome:
        """Copy a table; snapshots and clones are bqemulator's."""
        if job.section.get("operationType", "COPY") != "COPY":
            await execute_copy_job(job.project, job.id, job.configuration, self._ctx)
            return Outcome()
        tables = items(job.section, "sourceTables") or items(job.section, "sourceTable")
        if len(tables) > 1:
            refuse("the stand-in copies one table at a time")
        to = Destination.of(job.project, job.section, "WRITE_EMPTY")
        origin = Destination.of(job.project, {"destinationTable": tables[0]}, "")
        fields = self._destinations.fields(origin)
        if fields is None:
            refuse_missing(f"Table {origin.name}")
        columns = {field["name"]: quoted(field["name"]) for field in fields}
        sql = f"SELECT * FROM {origin.ref}"
        rows = await self._destinations.put(to, Source(sql, [], fields, columns))
        return Outcome({"copy": {"copiedRows": str(rows)}})
