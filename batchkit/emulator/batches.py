"""The batch service: creating, getting, listing, cancelling and deleting jobs.

https://ai.google.dev/api/batch-api
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from batchkit.emulator.clock import nanoseconds
from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.exchange import FileSlice, Reply, Request, json_reply
from batchkit.emulator.intake import count_requests
from batchkit.emulator.jobs import Job
from batchkit.emulator.messages import decode_body
from batchkit.emulator.operations import operation
from batchkit.emulator.paging import PAGE_PARAMETERS, page_token, requested_page
from batchkit.emulator.quota import Quota, file_tokens, tokens_of
from batchkit.emulator.routes import Route
from batchkit.emulator.rows import Row, RowsWriter

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
# What no JSON text contains: where the responses go, which may be too many for the memory.
_GAP = b"\0"
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
        self._quota = Quota(workspace.state, life.jobs, workspace.limits)

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
        job = self._kept(self._planned(model, batch), batch["inputConfig"])
        self._workspace.effect("batch.created", f"batches/{job.id}")
        return json_reply(operation(job, job.created))

    def _planned(self, model: Model, batch: dict[str, Any]) -> Job:
        file_name = batch["inputConfig"].get("fileName", "")
        now = self._workspace.clock.nanoseconds()
        return Job(
            id=self._workspace.state.identifier("batch", _ID_LENGTH),
            kind=model.kind,
            model=model.name,
            display_name=batch.get("displayName", ""),
            file_name=file_name,
            priority=batch.get("priority", 0),
            total=0,
            created=now,
            starts=now + self._pending,
            due=now + self._pending + self._running,
            expires=now + nanoseconds(self._workspace.limits.job_seconds),
            imported=not file_name,
        )

    def _kept(self, job: Job, source: dict[str, Any]) -> Job:
        """The job on disk with its input; nothing of either when it is refused."""
        try:
            if job.file_name:
                job = replace(job, total=self._take_file(job))
            else:
                job = replace(job, total=self._take_inline(job, source.get("requests", {})))
            tokens = self._tokens(job)
            with self._workspace.state.transaction():
                self._quota.take(job, tokens)
                job = self._workspace.fate.befall(job, job.expires)
                self._life.jobs.keep(job)
        except BaseException:
            self._life.clear(job)
            raise
        return job

    def _take_file(self, job: Job) -> int:
        """Make the lines of a file the job's own: the file may be deleted at any time."""
        blobs, state = self._workspace.blobs, self._workspace.state
        with state.transaction():  # so that it is not deleted between being found and linked
            blobs.link(self._input_blob(job.file_name), job.input_blob)
        return count_requests(blobs.path(job.input_blob), self._workspace.limits.line_bytes)

    def _take_inline(self, job: Job, source: dict[str, Any]) -> int:
        requests: list[dict[str, Any]] = source.get("requests", [])
        _check_inline(job, requests)
        with RowsWriter(self._life.rows(job)) as writer:
            for item in requests:
                tag = {"metadata": item["metadata"]} if "metadata" in item else {}
                writer.add(Row(item["request"], tag))
        return len(requests)

    def _input_blob(self, file_name: str) -> str:
        if not file_name.startswith("files/"):
            text = f"Invalid file name: {file_name}. It must be files/ and an id."
            raise ApiError(Rpc.INVALID_ARGUMENT, text)
        return self._files.find(file_name.removeprefix("files/")).blob

    def _tokens(self, job: Job) -> int:
        """The tokens of a job's requests, where they matter."""
        if not self._quota.counts_tokens:
            return 0
        if job.file_name:
            path = self._workspace.blobs.path(job.input_blob)
            return file_tokens(path, self._workspace.limits.line_bytes)
        return sum(tokens_of(row.request) for row in self._life.rows(job).read_all())

    def _get(self, request: Request) -> Reply:
        job = self._life.observe(request["batch"])
        now = self._workspace.clock.nanoseconds()
        if job.state != "SUCCEEDED" or job.file_name:
            return json_reply(operation(job, now))
        blobs = self._workspace.blobs
        responses = FileSlice(blobs.path(job.output_blob), 0, blobs.size(job.output_blob))
        before, *after = orjson.dumps(operation(job, now, orjson.Fragment(_GAP))).split(_GAP)
        rest = ((b"[", responses, b"]" + text) for text in after)
        return Reply(200, (before, *itertools.chain.from_iterable(rest)))

    def _list(self, request: Request) -> Reply:
        if request.query.get("filter"):
            # Which filters the service takes is not documented; google-genai refuses them, too.
            raise ApiError(Rpc.INVALID_ARGUMENT, "Filters are not supported.")
        self._life.settle()
        page = requested_page(request.query, default=_DEFAULT_PAGE, largest=_LARGEST_PAGE)
        entries = self._life.jobs.page(page)
        listed = entries[: page.size]
        now = self._workspace.clock.nanoseconds()
        hidden = self._workspace.fate.hidden((job for _, job in listed), now)
        shown = [operation(job, now) for _, job in listed if job.id not in hidden]
        reply: dict[str, Any] = {"operations": shown}
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


def _check_inline(job: Job, requests: list[dict[str, Any]]) -> None:
    if not requests:
        raise ApiError(Rpc.INVALID_ARGUMENT, "* batch.input_config.requests: is empty\n")
    for item in requests:
        named = item["request"].get("model", job.model).removeprefix("models/")
        if named != job.model:
            text = f"All requests of a batch must be for {job.model}, not {named}."
            raise ApiError(Rpc.INVALID_ARGUMENT, text)
