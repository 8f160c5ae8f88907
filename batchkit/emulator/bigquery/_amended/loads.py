"""Load jobs: files and objects into a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from .destinations import Destination
from .fields import Field, legacy
from .job import Outcome
from .parts import items, part
from .refusals import refuse, refuse_rows
from .sources import opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bqemulator.api.dependencies import AppContext

    from .destinations import Destinations
    from .job import Job
    from .objects import Objects

__all__ = ["Loads"]


class Loads:
    """Runs load jobs."""

    def __init__(self, ctx: AppContext, objects: Objects, destinations: Destinations) -> None:
        self._ctx = ctx
        self._objects = objects
        self._destinations = destinations

    async def __call__(self, job: Job) -> Outcome:
        """Load the objects that a job names."""
        paths = self._objects.fetch(items(job.section, "sourceUris"))
        try:
            return await self.load(job, paths)
        finally:
            for path in paths:
                path.unlink()

    async def load(self, job: Job, paths: Sequence[Path]) -> Outcome:
        """Load these files, as a job says."""
        to = Destination.of(job.project, job.section, "WRITE_APPEND")
        try:
            source = opened(self._ctx.engine, job.section, paths, self._fields(job, to))
            rows = await self._destinations.put(to, source)
        except duckdb.Error as error:
            refuse_rows(str(error))
        size = sum(path.stat().st_size for path in paths)
        statistics = {
            "inputFiles": str(len(paths)),
            "inputFileBytes": str(size),
            "outputRows": str(rows),
        }
        return Outcome({"load": statistics})

    def _fields(self, job: Job, to: Destination) -> list[Field] | None:
        """The fields that the job or its table gives, None when the files say."""
        given = items(part(job.section, "schema"), "fields")
        if given:
            return [legacy(field) for field in given]
        if job.section.get("sourceFormat") == "PARQUET" or job.section.get("autodetect"):
            return None
        present = self._destinations.fields(to)
        if present is None:
            refuse("No schema specified on job or table.")
        return present
