"""The Batches API of one service, complete: create, get, list, cancel, delete, wait, responses."""

from __future__ import annotations

import secrets
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from batchkit import jsonl
from batchkit.clients import connect
from batchkit.errors import (
    CapabilityError,
    JobNotFinishedError,
    NoOutputError,
    SetupError,
    WaitTimeoutError,
)
from batchkit.service.defaults import RequestDefaults
from batchkit.service.files import Files
from batchkit.service.gemini import GeminiBatches, inlined
from batchkit.service.job import BatchJob
from batchkit.specs.rest import as_rest, model_name
from batchkit.tables.request_lines import key_and_body
from batchkit.wire import decode_item, decode_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from batchkit.clients import Connection
    from batchkit.outcome import Response
    from batchkit.service.job import JobList
    from batchkit.wire import Kind

__all__ = ["BatchApi", "Batches"]


class BatchApi(Protocol):
    """What one service's own module does: one HTTP call each."""

    def create(self, kind: Kind, model: str, batch: Mapping[str, Any]) -> BatchJob:
        """Create a job, once."""
        ...

    def get(self, name: str) -> BatchJob:
        """One job."""
        ...

    def list(self, page_size: int | None, page_token: str | None, query: str | None) -> JobList:
        """One page of jobs."""
        ...

    def cancel(self, name: str) -> None:
        """Ask for a job to stop."""
        ...

    def delete(self, name: str) -> None:
        """Delete a job."""
        ...


class Batches:
    """The jobs of one project: two ways to create them, and everything that comes after.

    Without a connection, those of the environment's project. `create` is never retried, since
    the service would make a second job; all other calls are.
    """

    def __init__(self, connection: Connection | None = None) -> None:
        used = connection or connect()
        self._api: BatchApi = GeminiBatches(used.transport, used.api_version)
        self._files = Files(used)

    def create(  # noqa: PLR0913  # the options of the API, by keyword
        self,
        model: str,
        *,
        file_name: str | None = None,
        inlined_requests: Sequence[str | Mapping[str, Any]] | None = None,
        path: str | Path | None = None,
        gcs_uri: Sequence[str] | None = None,
        bigquery_uri: str | None = None,
        display_name: str | None = None,
        generation_config: Mapping[str, Any] | Any = None,
        system_instruction: str | Mapping[str, Any] | None = None,
        priority: int | None = None,
        destination: str | None = None,
        webhook: str | Mapping[str, Any] | None = None,
    ) -> BatchJob:
        """Create a job that generates, from exactly one source.

        `file_name` is an uploaded `files/…`, `path` a request file to upload first,
        `inlined_requests` a list of prompts, requests or `{"key", "request"}`. The service knows
        no generation config or system instruction for a whole job: they are merged into each
        request, whose own values win, and refused for a file that is uploaded already. Jobs with
        a higher `priority` (default 0) come first. `webhook` is an address, or the API's
        webhookConfig.
        """
        _refuse_vertex_only(gcs_uri=gcs_uri, bigquery_uri=bigquery_uri, destination=destination)
        defaults = RequestDefaults(generation_config, system_instruction)
        sources = {"file_name": file_name, "inlined_requests": inlined_requests, "path": path}
        config = self._input_config("generate", sources, defaults)
        options = _options(display_name, priority, webhook)
        return self._api.create("generate", model_name(model), {**options, "inputConfig": config})

    def create_embeddings(  # noqa: PLR0913  # the options of the API, by keyword
        self,
        model: str,
        *,
        file_name: str | None = None,
        inlined_requests: Sequence[str | Mapping[str, Any]] | None = None,
        path: str | Path | None = None,
        gcs_uri: Sequence[str] | None = None,
        bigquery_uri: str | None = None,
        display_name: str | None = None,
        priority: int | None = None,
        destination: str | None = None,
        webhook: str | Mapping[str, Any] | None = None,
    ) -> BatchJob:
        """Create a job that embeds, from exactly one source, as `create` does.

        An inlined request may be a text, a request (`{"content": …}`) or `{"key", "request"}`.
        """
        _refuse_vertex_only(gcs_uri=gcs_uri, bigquery_uri=bigquery_uri, destination=destination)
        sources = {"file_name": file_name, "inlined_requests": inlined_requests, "path": path}
        config = self._input_config("embed", sources, RequestDefaults())
        options = _options(display_name, priority, webhook)
        return self._api.create("embed", model_name(model), {**options, "inputConfig": config})

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
        if place.file_name is not None:
            return self._streamed(place.file_name)
        message = f"{current.name} is {current.state} and has no output"
        raise NoOutputError(message, current)

    def _streamed(self, file_name: str) -> Iterator[Response]:
        with tempfile.TemporaryDirectory(prefix="batchkit-") as folder:
            path = self._files.download(file_name, Path(folder) / "responses.jsonl")
            with path.open("rb") as file:
                for _, line in jsonl.lines(file):
                    yield decode_line(line)

    def _input_config(
        self, kind: Kind, sources: Mapping[str, Any], defaults: RequestDefaults
    ) -> dict[str, Any]:
        given = [name for name, value in sources.items() if value is not None]
        if len(given) != 1:
            message = (
                f"give exactly one of {', '.join(sources)}; given: {', '.join(given) or 'none'}"
            )
            raise SetupError(message)
        source = sources[given[0]]
        if given == ["inlined_requests"]:
            if isinstance(source, str):
                message = "inlined_requests is a text: give a list of texts or requests"
                raise SetupError(message)
            return inlined(
                _request_and_metadata(item, f"inlined_requests[{index}]", kind, defaults)
                for index, item in enumerate(source)
            )
        if given == ["file_name"]:
            if defaults.are_given:
                message = (
                    f"{source} is uploaded already, so nothing can be merged into its requests: "
                    "write generationConfig and systemInstruction into its lines, or give path="
                )
                raise CapabilityError(message)
            return {"fileName": source}
        return {"fileName": self._uploaded(Path(source), defaults)}

    def _uploaded(self, path: Path, defaults: RequestDefaults) -> str:
        if not defaults.are_given:
            return self._files.upload(path).name
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as merged:
            merged.writelines(defaults.lines(path))
            merged.flush()
            return self._files.upload(merged.name, display_name=path.name).name


def _refuse_vertex_only(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            message = (
                f"{name}: the Developer API reads and writes uploaded files and inline requests"
            )
            raise CapabilityError(message)


def _options(
    display_name: str | None, priority: int | None, webhook: str | Mapping[str, Any] | None
) -> dict[str, Any]:
    """The batch's own fields; the schema requires a display name, so there always is one."""
    options: dict[str, Any] = {"displayName": display_name or f"batchkit-{secrets.token_hex(6)}"}
    if priority is not None:
        options["priority"] = str(priority)  # an int64, which proto JSON writes as text
    if webhook is not None:
        options["webhookConfig"] = {"uris": [webhook]} if isinstance(webhook, str) else webhook
    return options


def _request_and_metadata(
    item: Any, place: str, kind: Kind, defaults: RequestDefaults
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One inlined request, from a text, a request, or a request with a key or metadata."""
    if isinstance(item, str):
        content = {"parts": [{"text": item}]}
        request: Any = (
            {"content": content} if kind == "embed" else {"contents": [{"role": "user", **content}]}
        )
        return defaults.merged(request), {}
    plain = as_rest(item, place)
    key, request = key_and_body(plain)
    if not jsonl.is_object(request):
        message = f"{place} is no request: give a text, a request, or a key and a request"
        raise SetupError(message)
    metadata = plain.get("metadata") if "request" in plain else None
    named = {**(metadata if jsonl.is_object(metadata) else {}), **({"key": key} if key else {})}
    return defaults.merged(request), named
