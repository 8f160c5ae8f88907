"""A job that was asked for, what came of it, and the Job resource that says both."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from bqemulator.catalog.etag import generate_etag
from bqemulator.catalog.models import JobMeta

from .parts import part
from .refusals import refuse_query

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bqemulator.catalog.models import JobType
    from bqemulator.domain.errors import DomainError

Kind: TypeAlias = Literal["query", "load", "extract", "copy"]

__all__ = ["Job", "Outcome", "error_proto", "http_error", "location_of", "resource"]

_TYPES: Mapping[Kind, JobType] = {
    "query": "QUERY",
    "load": "LOAD",
    "extract": "EXTRACT",
    "copy": "COPY",
}
# The catalog has no column for it.
_PLACE = "_location"
# https://cloud.google.com/bigquery/docs/error-messages
_STATUS = {
    "accessDenied": (403, "PERMISSION_DENIED"),
    "duplicate": (409, "ALREADY_EXISTS"),
    "notFound": (404, "NOT_FOUND"),
    "notImplemented": (501, "UNIMPLEMENTED"),
}


@dataclass(frozen=True, slots=True)
class Job:
    """A job that was asked for; `location` is None until it is known where it runs."""

    project: str
    id: str
    location: str | None
    configuration: dict[str, Any]

    @classmethod
    def asked(cls, project: str, body: Mapping[str, Any]) -> Job:
        """The job that a Job resource asks for."""
        reference, configuration = part(body, "jobReference"), part(body, "configuration")
        if not any(kind in configuration for kind in _TYPES):
            kinds = ", ".join(_TYPES)
            refuse_query(f"Job configuration must contain one of: {kinds}")
        identifier = reference.get("jobId") or f"job_{uuid.uuid4().hex}"
        return cls(project, identifier, reference.get("location"), configuration)

    @property
    def kind(self) -> Kind:
        """query, load, extract or copy."""
        return next(kind for kind in _TYPES if kind in self.configuration)

    @property
    def section(self) -> dict[str, Any]:
        """The configuration of its kind."""
        return self.configuration[self.kind]

    def ended(self, outcome: Outcome, began: datetime, ended: datetime) -> JobMeta:
        """The job with its outcome, as the catalog keeps it."""
        configuration = self.configuration | {"jobType": _TYPES[self.kind]}
        if outcome.destination:
            configuration[self.kind] = self.section | {"destinationTable": outcome.destination}
        return JobMeta(
            project_id=self.project,
            job_id=self.id,
            job_type=_TYPES[self.kind],
            state="DONE",
            configuration=configuration,
            statistics={**outcome.statistics, _PLACE: self.location},
            error_result=outcome.error,
            creation_time=began,
            start_time=began,
            end_time=ended,
            etag=generate_etag(self.project, self.id, str(began)),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: its statistics, or an ErrorProto; where a query's rows are."""

    statistics: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    destination: dict[str, Any] | None = None


def error_proto(error: DomainError) -> dict[str, Any]:
    """An error as a job's `errorResult` says it."""
    said = {"reason": error.bq_reason, "message": error.message}
    return said | ({"location": error.location} if error.location else {})


def http_error(error: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """The status and body of a reply that is an ErrorProto."""
    code, status = _STATUS.get(error["reason"], (400, "INVALID_ARGUMENT"))
    said = {
        "code": code,
        "message": error["message"],
        "errors": [{"domain": "global", **error}],
        "status": status,
    }
    return code, {"error": said}


def location_of(job: JobMeta) -> str:
    """Where a job ran."""
    return job.statistics.get(_PLACE) or "US"


def resource(job: JobMeta) -> dict[str, Any]:
    """The Job resource: https://cloud.google.com/bigquery/docs/reference/rest/v2/Job."""
    place = location_of(job)
    status: dict[str, Any] = {"state": job.state}
    if job.error_result:
        status |= {"errorResult": job.error_result, "errors": [job.error_result]}
    times = {
        "creationTime": job.creation_time,
        "startTime": job.start_time,
        "endTime": job.end_time,
    }
    statistics = {name: value for name, value in job.statistics.items() if name != _PLACE}
    for name, moment in times.items():
        if moment is not None:
            statistics[name] = str(int(moment.timestamp() * 1000))
    return {
        "kind": "bigquery#job",
        "etag": job.etag,
        "id": f"{job.project_id}:{place}.{job.job_id}",
        "jobReference": {"projectId": job.project_id, "jobId": job.job_id, "location": place},
        "configuration": job.configuration,
        "status": status,
        "statistics": statistics,
    }
