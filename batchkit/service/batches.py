"""The Batches API of one service, complete: create, get, list, cancel, delete, wait, responses."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from batchkit import jsonl
from batchkit.clients import connect, connect_vertex, wanted_service
from batchkit.errors import JobNotFinishedError, NoOutputError, WaitTimeoutError
from batchkit.service.defaults import RequestDefaults
from batchkit.service.files import Files
from batchkit.service.gemini import GeminiBatches
from batchkit.service.job import BatchJob, JobPlace
from batchkit.service.new_job import NewJob, new_name, place_named
from batchkit.service.output import write_output
from batchkit.service.sources import Sources
from batchkit.service.vertex import VertexBatches
from batchkit.specs.rest import model_name
from batchkit.wire import decode_item, decode_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from batchkit.clients import Cloud, Connection
    from batchkit.outcome import Response
    from batchkit.service.job import JobList

__all__ = ["BatchApi", "Batches"]


class BatchApi(Protocol):
    """What one service's own module does: one HTTP call each."""

    def check(self, new: NewJob) -> None:
        """CapabilityError for what this service has not."""
        ...

    def create(self, new: NewJob) -> BatchJob:
        """Create a job, once."""
        ...

    def get(self, name: str) -> BatchJob:
        """One job."""
        ...

    def list(self, page_size: int | None, page_token: str | None, query: str | None) -> JobList:
        """One page of jobs."""
        ...

    def beginning(self, prefix: str) -> str | None:
        """The filter that finds jobs by how their names begin, None where there is none."""
        ...

    def cancel(self, name: str) -> None:
        """Ask for a job to stop."""
        ...

    def delete(self, name: str) -> None:
        """Delete a job."""
        ...


class Batches:
    """The jobs of one project: two ways to create them, and everything that comes after.

    Without a connection, those of the environment's project, on the service it asks for. `create`
    is never retried, since the service would make a second job; all other calls are.
    """

    def __init__(self, connection: Connection | None = None) -> None:
        used = connection or (connect_vertex() if wanted_service() == "vertex" else connect())
        self._cloud: Cloud | None = used.cloud
        self._files: Files | None = None
        if used.service == "gemini":
            self._files = Files(used)
            self._api: BatchApi = GeminiBatches(used.transport, used.api_version)
        else:
            self._api = VertexBatches(used.transport, used.api_version, used.place)

    def create(  # noqa: PLR0913  # the options of the API, by keyword
        self,
        model: str,
        *,
        file_name: str | None = None,
        inlined_requests: Sequence[str | Mapping[str, Any]] | None = None,
        path: str | Path | None = None,
        gcs_uri: str | Sequence[str] | None = None,
        bigquery_uri: str | None = None,
        display_name: str | None = None,
        generation_config: Mapping[str, Any] | Any = None,
        system_instruction: str | Mapping[str, Any] | None = None,
        priority: int | None = None,
        destination: str | None = None,
        webhook: str | Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> BatchJob:
        """Create a job that generates, from exactly one source.

        On the Developer API `file_name` is an uploaded `files/…`, and `inlined_requests` a list of
        prompts, requests or `{"key", "request"}`; on Vertex AI `gcs_uri` names objects, and
        `bigquery_uri` a table, and `destination` (`gs://…`, `bq://…`) says where output goes.
        `path` is a request file to upload first. The services know no generation config or system
        instruction for a whole job: they are merged into each request, whose own values win, and
        refused where the requests are not ours to rewrite. Jobs with a higher `priority` (default
        0) come first. `webhook` is an address, or the API's webhookConfig.
        """
        defaults = RequestDefaults(generation_config, system_instruction)
        sources = {
            "file_name": file_name,
            "inlined_requests": inlined_requests,
            "path": path,
            "gcs_uri": gcs_uri,
            "bigquery_uri": bigquery_uri,
        }
        return self._created(
            NewJob(
                kind="generate",
                model=model_name(model),
                source=JobPlace(),
                display_name=display_name or new_name(),
                destination=place_named(destination),
                priority=priority,
                webhook=_webhook_config(webhook),
                labels=labels or {},
            ),
            sources,
            defaults,
        )

    def create_embeddings(  # noqa: PLR0913  # the options of the API, by keyword
        self,
        model: str,
        *,
        file_name: str | None = None,
        inlined_requests: Sequence[str | Mapping[str, Any]] | None = None,
        path: str | Path | None = None,
        gcs_uri: str | Sequence[str] | None = None,
        bigquery_uri: str | None = None,
        display_name: str | None = None,
        priority: int | None = None,
        destination: str | None = None,
        webhook: str | Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> BatchJob:
        """Create a job that embeds, from exactly one source, as `create` does.

        An inlined request may be a text, a request (`{"content": …}`) or `{"key", "request"}`.
        """
        sources = {
            "file_name": file_name,
            "inlined_requests": inlined_requests,
            "path": path,
            "gcs_uri": gcs_uri,
            "bigquery_uri": bigquery_uri,
        }
        return self._created(
            NewJob(
                kind="embed",
                model=model_name(model),
                source=JobPlace(),
                display_name=display_name or new_name(),
                destination=place_named(destination),
                priority=priority,
                webhook=_webhook_config(webhook),
                labels=labels or {},
            ),
            sources,
            RequestDefaults(),
        )

    def get(self, name: str) -> BatchJob:
        """A job by its name, with or without `batches/`."""
        return self._api.get(name)

    def list(
        self,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        filter: str | None = None,  # noqa: A002  # the API's word
    ) -> JobList:
        """One page of jobs, newest first as far as the service keeps to that."""
        return self._api.list(page_size, page_token, filter)

    def list_all(self, *, filter: str | None = None) -> Iterator[BatchJob]:  # noqa: A002  # the API's word
        """All jobs, page after page."""
        page = self.list(page_size=100, filter=filter)
        yield from page
        while page.has_more_pages:
            page = self.list(page_size=100, page_token=page.next_page_token, filter=filter)
            yield from page

    def find(self, prefix: str) -> Iterator[BatchJob]:
        """Jobs whose display names begin so; where the service has no filter, all are listed."""
        listed = self.list_all(filter=self._api.beginning(prefix))
        return (job for job in listed if (job.display_name or "").startswith(prefix))

    def cancel(self, name: str) -> None:
        """Ask for a job to stop; it may take a while, and what is processed is paid for."""
        self._api.cancel(name)

    def delete(self, name: str) -> None:
        """Delete a job; one that still runs is stopped."""
        self._api.delete(name)

    def wait(
        self,
        job: str | BatchJob,
        *,
        poll_interval: float = 30.0,
        timeout: float | None = 3600.0,
        on_progress: Callable[[BatchJob], None] | None = None,
    ) -> BatchJob:
        """The job once it has ended, well or not. Seconds; `timeout=None` waits for ever.

        Polls first, and calls back on every poll. WaitTimeoutError carries the job as it was
        last; the job is not cancelled.
        """
        name = job if isinstance(job, str) else job.name
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            current = self.get(name)
            if on_progress:
                on_progress(current)
            if current.is_complete:
                return current
            if deadline is not None and time.monotonic() >= deadline:
                message = (
                    f"{current.name} is still {current.state} after {timeout:g} s; "
                    "it goes on, and was not cancelled"
                )
                raise WaitTimeoutError(message, current)
            left = poll_interval if deadline is None else deadline - time.monotonic()
            time.sleep(min(poll_interval, max(left, 0.0)))

    def get_responses(self, job: str | BatchJob) -> Iterator[Response]:
        """The responses of a job that has ended, in the service's order, which means nothing.

        Inlined ones come from the job, those in a file are streamed. JobNotFinishedError before
        the end, NoOutputError when it ended without output.
        """
        current = job if isinstance(job, BatchJob) else self.get(job)
        if not current.is_complete:
            message = f"{current.name} is {current.state}: wait for it first"
            raise JobNotFinishedError(message, current)
        place = current.destination
        if place.inlined is None and place.file_name is None:
            current = self.get(current.name)  # a list leaves inlined responses out
            place = current.destination
        if place.inlined is not None:
            return (decode_item(item) for item in place.inlined)
        if place == JobPlace():
            raise _no_output(current)
        return self._streamed(current)

    def write_output(
        self,
        job: BatchJob,
        to: str | Path,
        *,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> bool:
        """Write the responses of a job that has ended to a JSONL file; False when it has none."""
        return write_output(
            job, Path(to), files=self._files, cloud=self._cloud, on_progress=on_progress
        )

    def _streamed(self, job: BatchJob) -> Iterator[Response]:
        with tempfile.TemporaryDirectory(prefix="batchkit-") as folder:
            path = Path(folder) / "responses.jsonl"
            if not self.write_output(job, path):
                raise _no_output(job)
            with path.open("rb") as file:
                for _, line in jsonl.lines(file):
                    yield decode_line(line)

    def _created(
        self, new: NewJob, sources: Mapping[str, Any], defaults: RequestDefaults
    ) -> BatchJob:
        self._api.check(new)
        place = Sources(self._files, self._cloud).place(sources, new, defaults)
        return self._api.create(replace(new, source=place))


def _no_output(job: BatchJob) -> NoOutputError:
    return NoOutputError(f"{job.name} is {job.state} and has no output", job)


def _webhook_config(webhook: str | Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return {"uris": [webhook]} if isinstance(webhook, str) else webhook
