"""Batches of the Gemini Developer API on the wire: paths and bodies.

https://ai.google.dev/api/batch-api
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from batchkit.errors import CapabilityError, InvalidRequestError
from batchkit.service.job_json import read_job, read_job_list
from batchkit.transport import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.service.job import BatchJob, JobList, JobPlace
    from batchkit.service.new_job import NewJob
    from batchkit.transport import Transport
    from batchkit.wire import Kind

__all__ = ["GeminiBatches"]

_METHODS: Mapping[Kind, str] = {
    "generate": "batchGenerateContent",
    "embed": "asyncBatchEmbedContent",
}
# What else could stand there would change the path, or ask for another method.
_NAME = re.compile(r"(?:batches/)?([A-Za-z0-9_-]+)")


class GeminiBatches:
    """The five calls of the Developer API; both kinds of job share all but the first."""

    def __init__(self, transport: Transport, api_version: str) -> None:
        self._transport = transport
        self._version = api_version

    def check(self, new: NewJob) -> None:
        """CapabilityError for what only Vertex AI has."""
        if new.labels:
            message = "labels: the batches of the Developer API have none"
            raise CapabilityError(message)

    def create(self, new: NewJob) -> BatchJob:
        """Create a job; never sent twice, because the service would make a second job of it."""
        batch: dict[str, Any] = {
            "displayName": new.display_name,
            "inputConfig": _input_config(new.source),
        }
        if new.priority is not None:
            batch["priority"] = str(new.priority)  # an int64, which proto JSON writes as text
        if new.webhook is not None:
            batch["webhookConfig"] = dict(new.webhook)
        named = new.model if "/" in new.model else f"models/{new.model}"
        path = f"/{self._version}/{named}:{_METHODS[new.kind]}"
        call = Call("batches.create", "POST", path, {"batch": batch}, repeatable=False)
        return read_job(self._transport.json(call))

    def get(self, name: str) -> BatchJob:
        """One job, with the responses of an inline job that has ended."""
        return read_job(self._transport.json(Call("batches.get", "GET", self._path(name))))

    def list(self, page_size: int | None, page_token: str | None, query: str | None) -> JobList:
        """One page of the project's jobs, without inlined responses."""
        if query:
            message = "the Developer API documents no filter for batches: list all and choose"
            raise CapabilityError(message)
        given = {"pageSize": page_size, "pageToken": page_token}
        params = {name: value for name, value in given.items() if value is not None}
        call = Call("batches.list", "GET", f"/{self._version}/batches", params=params)
        return read_job_list(self._transport.json(call))

    def beginning(self, prefix: str) -> None:  # noqa: ARG002  # the seam's form
        """No filter finds jobs by name: all are listed, and compared."""
        return

    def cancel(self, name: str) -> None:
        """Ask the service to stop a job; what is processed stays processed."""
        self._transport.json(Call("batches.cancel", "POST", f"{self._path(name)}:cancel", {}))

    def delete(self, name: str) -> None:
        """Delete a job, which stops it."""
        self._transport.json(Call("batches.delete", "DELETE", self._path(name)))

    def _path(self, name: str) -> str:
        found = _NAME.fullmatch(name)
        if found is None:
            message = f"{name!r} is no job name: it looks like batches/abc123"
            raise InvalidRequestError(400, "INVALID_ARGUMENT", message, (), "batches")
        return f"/{self._version}/batches/{found[1]}"


def _input_config(source: JobPlace) -> dict[str, Any]:
    if source.inlined is None:
        return {"fileName": source.file_name}
    return {"requests": {"requests": list(source.inlined)}}  # the service nests it twice
