"""The batch service: creating, getting, listing, cancelling and deleting jobs.

https://ai.google.dev/api/batch-api
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import orjson

from batchkit.emulator.clock import nanoseconds
from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.exchange import Reply, Request, json_reply
from batchkit.emulator.intake import count_requests
from batchkit.emulator.jobs import Job
from batchkit.emulator.messages import decode_body
from batchkit.emulator.operations import operation
from batchkit.emulator.paging import PAGE_PARAMETERS, page_token, requested_page
from batchkit.emulator.routes import Route
from batchkit.emulator.rows import Row, Rows, RowsWriter

if TYPE_CHECKING:
    from batchkit.emulator.files import Files
    from batchkit.emulator.life import Life
    from batchkit.emulator.models import Model, Models
    from batchkit.emulator.workspace import Workspace

__all__ = ["Batches"]

_ID_LENGTH = 36
_DEFAULT_PAGE, _LARGEST_PAGE = 50, 100
_BODIES = {
    "batchGenerateContent": "BatchGenerateContentRequest",
    "asyncBatchEmbedContent": "AsyncBatchEmbedContentRequest",
}
_LIST_PARAMETERS = PAGE_PARAMETERS | {"filter", "returnPartialSuccess"}


class Batches:
    """The batch jobs of one emulator: each waits `pending_seconds`, then runs `job_seconds`."""

    def __init__(
        self,
        workspace: Workspace,
        life: Life,
        files: Files,
        models: Models,
        *,
        pending_seconds: float,
        job_seconds: float,
    ) -> None:
        self._workspace = workspace
        self._life = life
        self._files = files
        self._models = models
        self._pending = nanoseconds(pending_seconds)
        self._running = nanoseconds(job_seconds)

    def routes(self) -> tuple[Route, ...]:
        """What this service answers."""
        creates = [
            Route("POST", f"/{{version}}/{owner}:{method}", functools.partial(self._create, method))
            for owner in ("models/{model}", "tunedModels/{tuned}")
            for method in _BODIES
        ]
        return (
            *creates,
            Route("GET", "/{version}/batches/{batch}", self._get),
            Route("GET", "/{version}/batches", self._list, _LIST_PARAMETERS),
            Route("POST", "/{version}/batches/{batch}:cancel", self._cancel),
            Route("DELETE", "/{version}/batches/{batch}", self._delete),
        )

    def _create(self, method: str, request: Request) -> Reply:
        model = self._models.requested(request, method)
        text = request.body.read(self._workspace.limits.inline_bytes)
        batch: dict[str, Any] = decode_body(_BODIES[method], text)["batch"]
        if "inputConfig" not in batch:
            raise ApiError(Rpc.INVALID_ARGUMENT, "* batch.input_config: is not specified\n")
        source: dict[str, Any] = batch["inputConfig"]
        requests: list[dict[str, Any]] | None = source.get("requests", {}).get("requests")
        job = self._planned(model, batch, source.get("fileName", ""), requests)
        with self._workspace.state.transaction():
            self._check_room(job.created)
            self._take_input(job, requests)
            self._life.jobs.keep(job)
        self._workspace.effect("batch.created", f"batches/{job.id}")
        return json_reply(operation(job, job.created))

    def _planned(
        self,
        model: Model,
        batch: dict[str, Any],
        file_name: str,
        requests: list[dict[str, Any]] | None,
    ) -> Job:
        total = self._file_total(file_name) if file_name else _inline_total(model, requests)
        now = self._workspace.clock.nanoseconds()
        return Job(
            id=self._workspace.state.identifier("batch", _ID_LENGTH),
            kind=model.kind,
            model=model.name,
            display_name=batch.get("displayName", ""),
            file_name=file_name,
            priority=batch.get("priority", 0),
            total=total,
            created=now,
            starts=now + self._pending,
            due=now + self._pending + self._running,
            expires=now + nanoseconds(self._workspace.limits.job_seconds),
            imported=not file_name,
        )

    def _file_total(self, file_name: str) -> int:
        path = self._workspace.blobs.path(self._input_blob(file_name))
        return count_requests(path, self._workspace.limits.line_bytes)

    def _input_blob(self, file_name: str) -> str:
        if not file_name.startswith("files/"):
            text = f"Invalid file name: {file_name}. It must be files/ and an id."
            raise ApiError(Rpc.INVALID_ARGUMENT, text)
        return self._files.find(file_name.removeprefix("files/")).blob

    def _check_room(self, now: int) -> None:
        most = self._workspace.limits.concurrent_jobs
        if self._life.jobs.alive(now) >= most:
            text = (
                "You exceeded your current quota, please check your plan and billing details. "
                f"Limit: {most} concurrent batch jobs."
            )
            raise ApiError(Rpc.RESOURCE_EXHAUSTED, text)

    def _take_input(self, job: Job, requests: list[dict[str, Any]] | None) -> None:
        """Make the job's requests its own: the file may be deleted as soon as the job exists."""
        blobs = self._workspace.blobs
        if job.file_name:
            blobs.link(self._input_blob(job.file_name), job.input_blob)
            return
        with RowsWriter(Rows(blobs, job.blob)) as writer:
            for item in requests or ():
                tag = {"metadata": item["metadata"]} if "metadata" in item else {}
                writer.add(Row(item["request"], tag))

    def _get(self, request: Request) -> Reply:
        job = self._life.observe(request["batch"])
        responses = None
        if job.state == "SUCCEEDED" and not job.file_name:
            lines = self._workspace.blobs.path(job.output_blob).read_bytes().rstrip(b"\n")
            responses = orjson.Fragment(b"[" + lines.replace(b"\n", b",") + b"]")
        return json_reply(operation(job, self._workspace.clock.nanoseconds(), responses))

    def _list(self, request: Request) -> Reply:
        if request.query.get("filter"):
            # Which filters the service takes is not documented; google-genai refuses them, too.
            raise ApiError(Rpc.INVALID_ARGUMENT, "Filters are not supported.")
        self._life.settle()
        page = requested_page(request.query, default=_DEFAULT_PAGE, largest=_LARGEST_PAGE)
        entries = self._life.jobs.page(page)
        listed = entries[: page.size]
        now = self._workspace.clock.nanoseconds()
        reply: dict[str, Any] = {"operations": [operation(job, now) for _, job in listed]}
        if len(entries) > page.size:
            reply["nextPageToken"] = page_token(listed[-1][0])
        return json_reply({name: value for name, value in reply.items() if value})

    def _cancel(self, request: Request) -> Reply:
        decode_body("Empty", request.body.read(self._workspace.limits.inline_bytes))
        self._life.cancel(request["batch"])
        return json_reply({})

    def _delete(self, request: Request) -> Reply:
        self._life.delete(request["batch"])
        return json_reply({})


def _inline_total(model: Model, requests: list[dict[str, Any]] | None) -> int:
    if not requests:
        raise ApiError(Rpc.INVALID_ARGUMENT, "* batch.input_config.requests: is empty\n")
    for item in requests:
        named = item["request"].get("model", model.name).removeprefix("models/")
        if named != model.name:
            text = f"All requests of a batch must be for {model.name}, not {named}."
            raise ApiError(Rpc.INVALID_ARGUMENT, text)
    return len(requests)
