"""Takes one shard through its job: create it or find it, look at it, fetch its output.

Each step writes its fact when it is done, and `intent` before what cannot be taken back, so that a
courier that was killed is followed by one that knows where it stopped.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchkit import durable
from batchkit.errors import (
    AccountChangedError,
    InvalidRequestError,
    NotAuthorisedError,
    NotFoundError,
    RateLimitedError,
    ServiceFailureError,
    TooLargeError,
)
from batchkit.events import Polled, Said, Transferred
from batchkit.service.job import BatchJob, JobState
from batchkit.targets.output import fetch_output
from batchkit.targets.parcel import Parcel
from batchkit.targets.target import target_named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.events import Progress
    from batchkit.ledger import Attempt
    from batchkit.rundir import Run, Shard
    from batchkit.service.client import Gemini

__all__ = ["DELETED", "Courier"]

# The state of a job that the service no longer knows; none of its own.
DELETED = "deleted"
# Answers after which it is certain that no job was made.
_REFUSALS = (
    InvalidRequestError,
    NotAuthorisedError,
    NotFoundError,
    TooLargeError,
    RateLimitedError,
)
_MOST_TRIES = 3
_SPARE_SECONDS = 3600  # an upload that expires sooner is not relied on


@dataclass(frozen=True, slots=True)
class Courier:
    """One driver's hands: the run it holds, the client it speaks through, and whom it tells.

    `settle_seconds` is how long after an unanswered create the service's list of jobs may still
    lag behind.
    """

    run: Run
    client: Gemini
    tell: Progress
    settle_seconds: float = 60.0

    def check_account(self) -> None:
        """Raise AccountChangedError when jobs of this run are under way with another account."""
        mine = self._account()
        for attempt in self.run.attempts():
            intent = attempt.last("intent")
            is_open = attempt.stage in {"sending", "running", "ended"}
            if intent and is_open and intent.content["account"] != mine:
                message = (
                    f"shard {attempt.shard} of {self.run.folder} is under way with another API "
                    "key: go on with that key, or the run could not find its own jobs"
                )
                raise AccountChangedError(message)

    def send(self, shard: Shard, attempt: Attempt, target: str) -> Attempt:
        """Get the shard a job, exactly one, and return the attempt that has it.

        A job that an unanswered create left behind is adopted; without one in the list after
        `settle_seconds`, the create is repeated. Raises RateLimitedError when the service takes
        no more now, another ServiceError when it refuses.
        """
        failures = 0
        while True:
            try:
                return self._send(shard, attempt, target)
            except ServiceFailureError as error:
                failures += 1
                if failures == _MOST_TRIES:
                    raise
                self.tell(Said(f"shard {shard.name}: {error}", is_warning=True))
                attempt = self.run.ledger.attempt(attempt.shard, attempt.number)

    def _send(self, shard: Shard, attempt: Attempt, target: str) -> Attempt:
        ledger = self.run.ledger
        parcel = self._parcel(shard, attempt)
        if attempt.facts:
            job = self._left_behind(attempt, parcel.display_name)
            if job is not None:
                return ledger.write(attempt, "adopted", **_seen(job))
        way = target_named(target)
        attempt = ledger.write(
            attempt,
            "intent",
            display_name=parcel.display_name,
            target=target,
            sha256=shard.sha256,
            account=self._account(),
        )
        staged = _living_upload(attempt)
        if staged is None:
            staged = way.stage(self.client, parcel)
            if staged is not None:
                attempt = ledger.write(attempt, "uploaded", **staged)
        try:
            job = way.create(self.client, parcel, staged)
        except _REFUSALS as error:
            said = {"status": error.status, "reason": error.reason, "message": error.message}
            ledger.write(attempt, "refused", **said)
            raise
        return ledger.write(attempt, "created", **_seen(job))

    def _left_behind(self, attempt: Attempt, display_name: str) -> BatchJob | None:
        """The job that an earlier intent of this attempt made, if it made one."""
        job = self._find(display_name)
        if job is not None or not attempt.may_have_job:
            return job
        remaining = attempt.facts[-1].at + self.settle_seconds - time.time()
        if remaining > 0:
            said = f"shard {attempt.shard}: a create was not answered; looking for its job again"
            self.tell(Said(f"{said} in {remaining:.0f} s"))
            time.sleep(remaining)
            job = self._find(display_name)
        return job

    def _find(self, display_name: str) -> BatchJob | None:
        """The oldest job of this name; the service has no filter, so all jobs are read."""
        same = [j for j in self.client.batches.list_all() if j.display_name == display_name]
        if len(same) > 1:
            said = f"{len(same)} jobs are named {display_name}: taking the oldest"
            self.tell(Said(said, is_warning=True))
        return min(same, key=lambda job: (str(job.create_time), job.name), default=None)

    def advance(self) -> int:
        """Look at every job once and fetch what has ended; how many are still to come.

        A job that the service does not answer for now is still to come.
        """
        to_come = 0
        for shard in self.run.shards.shards:
            attempt = self.run.ledger.attempts(shard.name)[-1]
            try:
                if attempt.stage == "running":
                    attempt, job = self.look(attempt)
                    self.tell(Polled(shard.name, shard.requests, job))
                if attempt.stage == "ended":
                    attempt = self.fetch(attempt)
            except (RateLimitedError, ServiceFailureError) as error:
                self.tell(Said(f"shard {shard.name}: {error}", is_warning=True))
            to_come += attempt.stage in {"running", "ended"}
        return to_come

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
            attempt = self.run.ledger.write(attempt, "ended", **_ended(job))
        return attempt, job

    def fetch(self, attempt: Attempt) -> Attempt:
        """Bring the output of a job that has ended into the run directory, whole or not at all."""
        ended = attempt.last("ended")
        path = self.run.responses_path(attempt)
        durable.make_folder(path.parent)
        there = ended is not None and ended.content["state"] != DELETED
        if there:
            there = fetch_output(self.client, attempt.job or "", path, self._receiving(attempt))
        size = path.stat().st_size if there else None
        name = str(path.relative_to(self.run.folder)) if there else None
        return self.run.ledger.write(attempt, "fetched", file=name, bytes=size)

    def _receiving(self, attempt: Attempt) -> Any:
        def receive(received: int, total: int | None) -> None:
            self.tell(Transferred(attempt.shard, received, total, is_upload=False))

        return receive

    def _parcel(self, shard: Shard, attempt: Attempt) -> Parcel:
        definition = self.run.definition

        def sending(sent: int, total: int) -> None:
            self.tell(Transferred(shard.name, sent, total, is_upload=True))

        return Parcel(
            path=self.run.requests_path(shard.name),
            kind=definition.spec.kind,
            model=definition.spec.model,
            display_name=f"batchkit-{definition.id}-{attempt.name}-{shard.sha256[:12]}",
            sha256=shard.sha256,
            may_exist=bool(attempt.facts),
            on_progress=sending,
        )

    def _account(self) -> str:
        return self.run.definition.fingerprint(self.client.account)


def _living_upload(attempt: Attempt) -> Mapping[str, Any] | None:
    """The upload of an earlier try, unless it expires too soon to rely on."""
    fact = attempt.last("uploaded")
    if fact is None:
        return None
    expires = fact.content.get("expires")
    return fact.content if expires is None or expires > time.time() + _SPARE_SECONDS else None


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
    }
