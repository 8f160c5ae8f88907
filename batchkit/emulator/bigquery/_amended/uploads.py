"""Uploads, which are load jobs: bqemulator takes the bytes in, under the client's job id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .job import Job, resource
from .replacement import replace

if TYPE_CHECKING:
    from bqemulator.catalog.models import JobMeta

    from .jobs import Jobs
    from .loads import Loads

__all__ = ["amend_uploads"]

_UPLOAD = "bqemulator.api.routes.upload"


def amend_uploads(jobs: Jobs, loads: Loads) -> None:
    """Have uploads end in our load jobs."""

    async def run(
        *, project_id: str, configuration: dict[str, Any], media_path: str, ctx: Any
    ) -> tuple[str, JobMeta]:
        del ctx
        job = Job.asked(project_id, configuration)
        ended = await jobs.run(job, lambda begun: loads.load(begun, [Path(media_path)]))
        return job.id, ended

    # Google's client for Python always says so, of any content.
    replace(_UPLOAD, "_PERMITTED_MEDIA_CONTENT_TYPES", lambda known: (*known, "*/*"))
    # What is kept with an upload is the whole job, not its configuration alone.
    replace(_UPLOAD, "_load_configuration_from_envelope", _checked_envelope)
    replace(_UPLOAD, "_run_load", lambda _: run)
    replace(_UPLOAD, "_build_job_response", lambda _: _rendered)


def _checked_envelope(check: Any) -> Any:
    def envelope_of(envelope: dict[str, Any]) -> dict[str, Any]:
        check(envelope)
        return envelope

    return envelope_of


def _rendered(_project: str, _job_id: str, job: JobMeta, _configuration: Any) -> dict[str, Any]:
    return resource(job)
