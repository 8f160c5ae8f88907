"""Batches of Vertex AI on the wire: batchPredictionJobs.

https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.batchPredictionJobs
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from batchkit.errors import CapabilityError, InvalidRequestError, SetupError
from batchkit.service.job_json import read_job, read_job_list
from batchkit.transport import Call

if TYPE_CHECKING:
    from batchkit.service.job import BatchJob, JobList, JobPlace
    from batchkit.service.new_job import NewJob
    from batchkit.transport import Transport

__all__ = ["VertexBatches"]

_NAME = re.compile(
    r"(?:(projects/[a-z0-9.:-]+/locations/[a-z0-9-]+)/)?(?:batchPredictionJobs/)?([A-Za-z0-9_-]+)"
)


class VertexBatches:
    """The five calls of one project and location; one create for both kinds of job."""

    def __init__(self, transport: Transport, api_version: str, place: str) -> None:
        self._transport = transport
        self._version = api_version
        self._place = place

    def check(self, new: NewJob) -> None:
        """CapabilityError for what only the Developer API has."""
        for name, value in {"priority": new.priority, "webhook": new.webhook}.items():
            if value is not None:
                message = f"{name}: the batches of Vertex AI have none"
                raise CapabilityError(message)

    def create(self, new: NewJob) -> BatchJob:
        """Create a job; never sent twice, because the service would make a second job of it."""
        body = {
            "displayName": new.display_name,
            "model": _model(new.model),
            "inputConfig": _input_config(new.source),
            "outputConfig": _output_config(new.destination),
            **({"labels": dict(new.labels)} if new.labels else {}),
        }
        path = f"/{self._version}/{self._place}/batchPredictionJobs"
        return read_job(
            self._transport.json(Call("batches.create", "POST", path, body, repeatable=False))
        )

    def get(self, name: str) -> BatchJob:
        """One job."""
        return read_job(self._transport.json(Call("batches.get", "GET", self._path(name))))

    def list(self, page_size: int | None, page_token: str | None, query: str | None) -> JobList:
        """One page of the location's jobs; `query` as the API's `filter` takes it."""
        given = {"pageSize": page_size, "pageToken": page_token, "filter": query}
        params = {name: value for name, value in given.items() if value is not None}
        path = f"/{self._version}/{self._place}/batchPredictionJobs"
        return read_job_list(self._transport.json(Call("batches.list", "GET", path, params=params)))

    def beginning(self, prefix: str) -> str:
        """The filter that finds jobs whose display names begin so."""
        return f'display_name:"{prefix}*"'

    def cancel(self, name: str) -> None:
        """Ask the service to stop a job; what is processed stays processed."""
        self._transport.json(Call("batches.cancel", "POST", f"{self._path(name)}:cancel", {}))

    def delete(self, name: str) -> None:
        """Delete a job that has ended; the service refuses one that has not."""
        self._transport.json(Call("batches.delete", "DELETE", self._path(name)))

    def _path(self, name: str) -> str:
        found = _NAME.fullmatch(name)
        if found is None:
            message = (
                f"{name!r} is no job name: it looks like 123, or "
                f"{self._place}/batchPredictionJobs/123"
            )
            raise InvalidRequestError(400, "INVALID_ARGUMENT", message, (), "batches")
        return f"/{self._version}/{found[1] or self._place}/batchPredictionJobs/{found[2]}"


def _model(name: str) -> str:
    """A model of Google's by its bare name; tuned ones are named whole."""
    return name if "/" in name else f"publishers/google/models/{name}"


def _input_config(source: JobPlace) -> dict[str, Any]:
    if source.gcs_uris:
        return {"instancesFormat": "jsonl", "gcsSource": {"uris": list(source.gcs_uris)}}
    return {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": source.bigquery_uri}}


def _output_config(destination: JobPlace) -> dict[str, Any]:
    if destination.gcs_uris:
        place = {"outputUriPrefix": destination.gcs_uris[0]}
        return {"predictionsFormat": "jsonl", "gcsDestination": place}
    if destination.bigquery_uri:
        place = {"outputUri": destination.bigquery_uri}
        return {"predictionsFormat": "bigquery", "bigqueryDestination": place}
    message = "no destination: give destination='gs://bucket/folder', or 'bq://project.dataset'"
    raise SetupError(message)
