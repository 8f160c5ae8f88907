"""A batch job as either service tells it: its state, its counts, where it reads and writes."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["BatchJob", "CompletionStats", "JobFailure", "JobList", "JobPlace", "JobState"]

_PREFIXES = ("BATCH_STATE_", "JOB_STATE_")
_OTHER_NAMES = {"ACTIVE": "RUNNING", "COMPLETED": "SUCCEEDED"}


class JobState(enum.StrEnum):
    """The states of both services; one that is new to us is `UNSPECIFIED`, and is polled on.

    https://ai.google.dev/api/batch-api#BatchState,
    https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/JobState
    """

    QUEUED = "queued"
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    EXPIRED = "expired"
    UPDATING = "updating"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    UNSPECIFIED = "unspecified"

    @classmethod
    def parse(cls, raw: str | None) -> JobState:
        """The state that a service's string names, `BATCH_STATE_…` and `JOB_STATE_…` alike."""
        name = raw or ""
        for prefix in _PREFIXES:
            name = name.removeprefix(prefix)
        name = _OTHER_NAMES.get(name, name).lower()
        try:
            return cls(name)
        except ValueError:
            return cls.UNSPECIFIED

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen; a paused job may go on."""
        return self in _TERMINAL

    @property
    def is_running(self) -> bool:
        """Whether the job waits for its turn or works."""
        return self in {JobState.QUEUED, JobState.PENDING, JobState.RUNNING}


_TERMINAL = frozenset(
    {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.EXPIRED,
        JobState.PARTIALLY_SUCCEEDED,
    }
)


@dataclass(frozen=True, slots=True)
class CompletionStats:
    """How many requests a job has, and how many went well or wrong so far."""

    total_count: int
    success_count: int
    failure_count: int

    @property
    def done_count(self) -> int:
        """Requests that are through, well or not."""
        return self.success_count + self.failure_count


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job failed: a google.rpc code, its name, the message, and details as they came."""

    code: int | None
    reason: str
    message: str
    details: Sequence[Any] = ()

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


@dataclass(frozen=True, slots=True)
class JobPlace:
    """Where a job reads or writes: exactly one of these, or none that we know.

    `inlined` are the items of an inline job as the service gave them, None when it left them out.
    """

    file_name: str | None = None
    inlined: Sequence[Mapping[str, Any]] | None = None
    gcs_uris: tuple[str, ...] = ()
    bigquery_uri: str | None = None


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One job, as it was when it was asked about.

    `name` is `batches/…` or `projects/…/batchPredictionJobs/…`; `raw_state` the service's own
    string; times are in UTC and None where the service gave none; `partial_failures` and `labels`
    are Vertex AI's; `content` is the whole answer.
    """

    name: str
    state: JobState
    raw_state: str | None = None
    display_name: str | None = None
    model: str | None = None
    completion_stats: CompletionStats | None = None
    error: JobFailure | None = None
    source: JobPlace = JobPlace()
    destination: JobPlace = JobPlace()
    priority: int | None = None
    create_time: dt.datetime | None = None
    start_time: dt.datetime | None = None
    end_time: dt.datetime | None = None
    update_time: dt.datetime | None = None
    partial_failures: tuple[JobFailure, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    content: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False, compare=False)

    @property
    def id(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]

    @property
    def is_complete(self) -> bool:
        """Whether the job has ended, well or not."""
        return self.state.is_terminal

    @property
    def is_running(self) -> bool:
        """Whether the job waits for its turn or works."""
        return self.state.is_running

    @property
    def succeeded(self) -> bool:
        """Whether the job ended well; its rows may still have failed."""
        return self.state is JobState.SUCCEEDED

    @property
    def failed(self) -> bool:
        """Whether the job failed as a whole."""
        return self.state is JobState.FAILED

    @property
    def cancelled(self) -> bool:
        """Whether the job was cancelled."""
        return self.state is JobState.CANCELLED

    @property
    def progress(self) -> float | None:
        """Percent of the requests that are through, None while the service gives no counts."""
        stats = self.completion_stats
        if stats is None or stats.total_count == 0:
            return None
        return 100 * stats.done_count / stats.total_count


@dataclass(frozen=True, slots=True)
class JobList:
    """One page of jobs; `next_page_token` is None on the last."""

    jobs: tuple[BatchJob, ...]
    next_page_token: str | None = None

    @property
    def has_more_pages(self) -> bool:
        """Whether there is a next page."""
        return bool(self.next_page_token)

    def __iter__(self) -> Iterator[BatchJob]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)
