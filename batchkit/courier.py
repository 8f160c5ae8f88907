"""Takes the requests of one shard to the service: a job for it is created, or found again.

Each step writes its fact when it is done, and `intent` before what cannot be taken back, so that a
courier that was killed is followed by one that knows where it stopped.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from batchkit.damage import check_digest, check_size
from batchkit.errors import (
    AmbiguousJobError,
    InvalidRequestError,
    NotAuthorisedError,
    NotFoundError,
    RateLimitedError,
    ServiceFailureError,
    TooLargeError,
)
from batchkit.events import Said, Transferred
from batchkit.targets.file import SPARE_SECONDS
from batchkit.targets.parcel import Parcel, display_name
from batchkit.targets.target import target_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchkit.events import Progress
    from batchkit.ledger import Attempt
    from batchkit.rundir import Run, Shard
    from batchkit.service.client import Client
    from batchkit.service.job import BatchJob

__all__ = ["Courier", "JobsByName"]

JobsByName: TypeAlias = "Mapping[str, Sequence[BatchJob]]"

# Answers after which it is certain that no job was made.
_REFUSALS = (
    InvalidRequestError,
    NotAuthorisedError,
    NotFoundError,
    TooLargeError,
    RateLimitedError,
)
_HELD = 429  # not now: what was uploaded for it is good
_MOST_TRIES = 3
_LONGEST_CREATE_SECONDS = 600  # a call that takes longer is not under way any more


@dataclass(frozen=True, slots=True)
class Courier:
    """One driver's hands: the run it holds, the client it speaks through, and whom it tells.

    `settle_seconds` is how long after an unanswered create the service's list of jobs may still
    lag behind.
    """

    run: Run
    client: Client
    tell: Progress
    settle_seconds: float = 60.0

    def jobs(self) -> JobsByName:
        """The jobs of this run, and of copies of it, by their display names."""
        jobs: defaultdict[str, dict[str, BatchJob]] = defaultdict(dict)
        for job in self.client.batches.find(f"batchkit-{self.run.definition.id}-"):
            jobs[job.display_name or ""][job.name] = job  # one that moved to the next page is once
        return {name: list(same.values()) for name, same in jobs.items()}

    def check(self, shard: Shard, attempt: Attempt, target: str, listed: JobsByName) -> None:
        """Raise, before anything is sent, when a new job of the shard would write over something.

        What a job of ours made that is there, or may be, is left to `send`, which looks for it.
        """
        parcel = self._parcel(shard, attempt, target)
        if not attempt.may_have_job and parcel.display_name not in listed:
            target_named(target).check_parcel(self.client, parcel)

    def send(self, shard: Shard, attempt: Attempt, target: str, listed: JobsByName) -> Attempt:
        """Get what an attempt asks a job, exactly one, and return the attempt that has it.

        `listed` are the jobs there were before. A job that an unanswered create left behind, or
        that a copy of this run made, is adopted; without one in the list after `settle_seconds`,
        the create is repeated. Raises RateLimitedError when the service takes no more now,
        AmbiguousJobError when several jobs have the shard's name, another ServiceError when the
        service refuses.
        """
        failures = 0
        while True:
            try:
                return self._send(shard, attempt, target, listed)
            except ServiceFailureError as error:
                failures += 1
                if failures == _MOST_TRIES:
                    raise
                self.tell(Said(f"shard {shard.name}: {error}", is_warning=True))
                attempt = self.run.ledger.attempt(attempt.shard, attempt.number)
            except (NotFoundError, NotAuthorisedError) as error:
                attempt = self.run.ledger.attempt(attempt.shard, attempt.number)
                if not _relied_on_upload(attempt):
                    raise
                self.tell(Said(f"shard {shard.name}: {error}; uploading again", is_warning=True))

    def _send(self, shard: Shard, attempt: Attempt, target: str, listed: JobsByName) -> Attempt:
        ledger = self.run.ledger
        parcel = self._parcel(shard, attempt, target)
        name = parcel.display_name
        was_tried = attempt.last("intent") is not None
        job = self._left_behind(attempt, name) if was_tried else _only(listed, name)
        if job is not None and was_tried:
            return ledger.write(attempt, "adopted", **_seen(job))
        if job is None:
            if parcel.query is None:
                check_size(parcel.path, shard.bytes)
            check_digest(parcel.path, shard.sha256)
        attempt = ledger.write(
            attempt,
            "intent",
            display_name=name,
            target=target,
            sha256=shard.sha256,
            account=self._account(),
        )
        if job is not None:
            return ledger.write(attempt, "adopted", **_seen(job))
        return self._create(attempt, parcel, target)

    def _create(self, attempt: Attempt, parcel: Parcel, target: str) -> Attempt:
        ledger = self.run.ledger
        way = target_named(target)
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
        """The job that an earlier intent of this attempt made, if it made one.

        The call may have been on its way until now, however long ago the intent was: the list is
        given the time to settle, unless no call can take that long.
        """
        job = _only(self.jobs(), display_name)
        if job is not None or not attempt.may_have_job:
            return job
        over = attempt.facts[-1].at + _LONGEST_CREATE_SECONDS + self.settle_seconds
        remaining = min(self.settle_seconds, over - time.time())
        if remaining > 0:
            said = f"shard {attempt.asked_name}: a create was not answered; looking for its job"
            self.tell(Said(f"{said} again in {remaining:.0f} s"))
            time.sleep(remaining)
            job = _only(self.jobs(), display_name)
        return job

    def _parcel(self, shard: Shard, attempt: Attempt, target: str) -> Parcel:
        definition = self.run.definition

        path = self.run.requests_path(shard.name)

        def sending(sent: int, total: int) -> None:
            self.tell(Transferred(shard.name, sent, total, is_upload=True))

        return Parcel(
            path=path,
            kind=definition.spec.kind,
            model=definition.spec.model,
            display_name=display_name(definition.id, attempt.name, shard.sha256),
            sha256=shard.sha256,
            run_id=definition.id,
            name=attempt.name,
            target=target,
            output=definition.output,
            is_legacy=not definition.dialect.wrapped,
            may_exist=attempt.last("intent") is not None,
            query=path.read_text() if definition.resident else None,
            on_progress=sending,
        )

    def _account(self) -> str:
        return self.run.definition.fingerprint(self.client.account)


def _only(jobs: JobsByName, name: str) -> BatchJob | None:
    """The job of this name; of several, the one that nobody has cancelled."""
    same = jobs.get(name, ())
    wanted = [job for job in same if not job.cancelled] or same
    if len(wanted) > 1:
        names = ", ".join(sorted(job.name for job in wanted))
        message = (
            f"{len(wanted)} jobs are named {name} ({names}), each of which may be paid for: look "
            "which to keep, cancel or delete the others, and submit again"
        )
        raise AmbiguousJobError(message)
    return next(iter(wanted), None)


def _relied_on_upload(attempt: Attempt) -> bool:
    """Whether what was refused was an upload of an earlier try, which may be gone by now."""
    intent, uploaded = attempt.last("intent"), attempt.last("uploaded")
    return intent is not None and uploaded is not None and uploaded.number < intent.number


def _living_upload(attempt: Attempt) -> Mapping[str, Any] | None:
    """The upload of an earlier try, when it can be relied on.

    It is of this account, does not expire too soon, and was not part of what was refused.
    """
    fact = attempt.last("uploaded")
    if fact is None:
        return None
    intents = [f for f in attempt.facts if f.kind == "intent"]
    then = next((f for f in reversed(intents) if f.number < fact.number), None)
    if then is None:
        return None
    refused = any(
        f.kind == "refused" and f.content.get("status") != _HELD
        for f in attempt.facts[fact.number :]
    )
    expires = fact.content.get("expires")
    is_alive = expires is None or expires > time.time() + SPARE_SECONDS
    is_ours = then.content.get("account") == intents[-1].content.get("account")
    return fact.content if is_alive and is_ours and not refused else None


def _seen(job: BatchJob) -> dict[str, Any]:
    return {"job": job.name, "state": str(job.state), "raw_state": job.raw_state}
