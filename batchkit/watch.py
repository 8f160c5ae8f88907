"""Looks at the jobs of a run, and brings home the output of those that have ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchkit import durable
from batchkit.errors import (
    InvalidRequestError,
    NotAuthorisedError,
    NotFoundError,
    RateLimitedError,
    ServiceFailureError,
)
from batchkit.events import Polled, Said, Transferred
from batchkit.service.job import BatchJob, JobState
from batchkit.targets.output import fetch_output, is_gone, output_table
from batchkit.verdict import DELETED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchkit.events import Progress
    from batchkit.ledger import Attempt
    from batchkit.rundir import Run, Shard
    from batchkit.service.client import Client

__all__ = ["Watch"]

_WITH_OUTPUT = frozenset({JobState.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED})


@dataclass(frozen=True, slots=True)
class Watch:
    """One driver's eyes: the run it holds, the client it asks, and whom it tells.

    `settle_seconds` is how long after a job's end its output may still be on its way. `observe` is
    called with each job that was under way, as it is now.
    """

    run: Run
    client: Client
    tell: Progress
    settle_seconds: float = 60.0
    observe: Callable[[Shard, Attempt, BatchJob], None] | None = None

    def advance(self) -> int:
        """Look at every job once and fetch what has ended; how many are still to come.

        A job that the service does not answer for now is still to come. When it answers for none,
        the round is over; any other error is raised when all jobs have been looked at.
        """
        to_come = 0
        is_cut = False
        refused: Exception | None = None
        for shard, seen in self.run.asked():
            attempt = seen
            if not is_cut:
                try:
                    attempt = self._advance(shard, seen)
                except (RateLimitedError, ServiceFailureError) as error:
                    self.tell(Said(f"shard {shard.name}: {error}", is_warning=True))
                    is_cut = isinstance(error, RateLimitedError) or error.status == 0
                except (InvalidRequestError, NotFoundError) as error:
                    refused = refused or error
            to_come += attempt.stage in {"running", "ended"}
        if refused is not None:
            raise refused
        return to_come

    def _advance(self, shard: Shard, attempt: Attempt) -> Attempt:
        if attempt.stage == "running":
            attempt, job = self.look(attempt)
            self.tell(Polled(shard.name, shard.requests, job))
            if self.observe is not None:
                self.observe(shard, attempt, job)
        return self.fetch(attempt) if attempt.stage == "ended" else attempt

    def look(self, attempt: Attempt) -> tuple[Attempt, BatchJob]:
        """The job as it is now; its end becomes a fact. A job that is gone counts as deleted."""
        name = attempt.job or ""
        try:
            job = self.client.batches.get(name)
        except NotFoundError:
            gone = BatchJob(name, JobState.UNSPECIFIED, raw_state=DELETED)
            return self.run.ledger.write(
                attempt, "ended", **{**_seen(gone), "state": DELETED}
            ), gone
        if job.is_complete:
            twins = self._twins(attempt, job) if attempt.may_have_twin else []
            attempt = self.run.ledger.write(attempt, "ended", **_ended(job), twins=twins)
        return attempt, job

    def _twins(self, attempt: Attempt, job: BatchJob) -> list[str]:
        """Other jobs of its name, made by a create whose answer was lost."""
        same = self.client.batches.find(job.display_name or job.name)
        twins = sorted(each.name for each in same if each.name != job.name and not each.cancelled)
        if twins:
            said = (
                f"shard {attempt.asked_name} was sent twice: a create was not answered, and its "
                f"job was not listed in time; {job.name} is collected, beside it there is "
                f"{', '.join(twins)}"
            )
            self.tell(Said(said, is_warning=True))
        return twins

    def fetch(self, attempt: Attempt) -> Attempt:
        """Bring the output of a job that has ended into the run directory, whole or not at all.

        An output that is not there, and should be, is waited for; after `settle_seconds` it is
        lost, and the fact says why. Of a run whose rows stay in BigQuery the output stays, too.
        """
        ended = attempt.last("ended")
        content: Mapping[str, Any] = ended.content if ended else {}
        there, why = None, None
        if content.get("state") != DELETED:
            there, why = self._fetched(attempt, content)
        if why and ended and time.time() < ended.at + self.settle_seconds:
            self.tell(Said(f"shard {attempt.asked_name}: {why}; looking again", is_warning=True))
            return attempt
        found = there or {"file": None, "bytes": None}
        return self.run.ledger.write(attempt, "fetched", **found, lost=why)

    def _fetched(
        self, attempt: Attempt, ended: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any] | None, str | None]:
        """The output where there is one, and else why not when there should be one."""
        try:
            if self.run.definition.resident is not None:
                there = output_table(self.client, attempt.job or "")
            else:
                there = self._downloaded(attempt, ended)
        except (NotFoundError, NotAuthorisedError) as error:
            if not is_gone(error):
                raise
            there, why = None, f"the output is gone ({error.message})"
        else:
            why = "there is no output of it"
        # Facts of earlier versions do not say whether there must be one.
        is_due = ended.get("has_output", ended.get("state") in _WITH_OUTPUT)
        return there, why if there is None and is_due else None

    def _downloaded(self, attempt: Attempt, ended: Mapping[str, Any]) -> dict[str, Any] | None:
        path = self.run.responses_path(attempt)
        durable.make_folder(path.parent)

        def receiving(received: int, total: int | None) -> None:
            self.tell(Transferred(attempt.asked_name, received, total, is_upload=False))

        there = fetch_output(
            self.client, attempt.job or "", ended.get("output"), path, on_progress=receiving
        )
        name = str(path.relative_to(self.run.folder))
        return {"file": name, "bytes": path.stat().st_size} if there else None


def _seen(job: BatchJob) -> dict[str, Any]:
    return {"job": job.name, "state": str(job.state), "raw_state": job.raw_state}


def _ended(job: BatchJob) -> dict[str, Any]:
    stats = job.completion_stats
    error = job.error
    return {
        **_seen(job),
        "requests": stats.total_count if stats else None,
        "succeeded": stats.success_count if stats else None,
        "failed": stats.failure_count if stats else None,
        "error": {"reason": error.reason, "message": error.message} if error else None,
        "created": job.create_time.isoformat() if job.create_time else None,
        "ended": job.end_time.isoformat() if job.end_time else None,
        "output": job.destination.file_name,
        "has_output": _has_output(job),
    }


def _has_output(job: BatchJob) -> bool:
    """Whether there must be an output: of a success, and on Vertex AI of all that has answers.

    A job that stopped before it had answers has written nothing.
    """
    place, stats = job.destination, job.completion_stats
    if job.state in _WITH_OUTPUT or place.file_name:
        return True
    if not (place.gcs_uris or place.bigquery_uri):
        return False
    if stats is not None:
        return bool(stats.success_count or stats.failure_count)
    return bool(job.content.get("outputInfo"))
