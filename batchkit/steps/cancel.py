"""Cancel: the jobs of a run that have not ended are asked to stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.dispatch import is_held
from batchkit.display.live import shown
from batchkit.errors import InvalidRequestError, NotFoundError
from batchkit.events import Said
from batchkit.rundir import opened
from batchkit.service.client import client_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchkit.events import Progress
    from batchkit.ledger import Attempt
    from batchkit.rundir import Run
    from batchkit.service.client import Client
    from batchkit.service.job import BatchJob

__all__ = ["Cancelled", "cancel"]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The jobs that were asked to stop (or, in a dry run, would be), as they were before.

    `unsent` is how many shards have no job: they stay pending, and only another submit sends them.
    """

    jobs: tuple[BatchJob, ...]
    unsent: int
    dry_run: bool


def cancel(
    run: Run | str | Path,
    *,
    dry_run: bool = True,
    client: Client | None = None,
    progress: Progress | None = None,
) -> Cancelled:
    """Ask each job of the run that has not ended to stop; a dry run, the default, only finds them.

    Only jobs that the ledger names are, and those that a create of this run made without an
    answer. Afterwards `wait` and `collect` work as ever: what a job produced before it
    stopped counts (and is paid for), the rest of its rows are `missing`. Shards that were held
    back are not submitted by `wait` any more.
    """
    run = opened(run)
    with shown(progress) as tell, run.hold():
        used = client_for(run.definition.dialect.service, client)
        run.check_account(used.account)
        jobs = list(_under_way(run, used, dry_run=dry_run))
        if not dry_run:
            _withdraw(run)  # first, lest they take the room that is made
            jobs = [job for job in jobs if _asked_to_stop(used, job)]
        unsent = sum(attempt.stage in {"unsent", "sending"} for attempt in run.attempts())
        tell(Said(_in_words(len(jobs), unsent, dry_run=dry_run)))
    return Cancelled(tuple(jobs), unsent, dry_run)


def _under_way(run: Run, client: Client, *, dry_run: bool) -> Iterator[BatchJob]:
    """The jobs that have not ended, those included that no fact names yet."""
    for attempt in run.attempts():
        if attempt.stage == "running":
            job = _known(client, attempt.job or "")
            jobs = [job] if job is not None else []
        else:
            jobs = _left_behind(run, attempt, client, dry_run=dry_run)
        yield from (job for job in jobs if not job.is_complete)


def _known(client: Client, name: str) -> BatchJob | None:
    try:
        return client.batches.get(name)
    except NotFoundError:
        return None


def _left_behind(run: Run, attempt: Attempt, client: Client, *, dry_run: bool) -> list[BatchJob]:
    """Jobs of a create that was not answered; where there is one, the run takes it as its own."""
    intent = attempt.last("intent")
    if intent is None or not attempt.may_have_job:
        return []
    name = intent.content["display_name"]
    jobs = [job for job in client.batches.find(name) if job.display_name == name]
    if len(jobs) == 1 and not dry_run:
        (job,) = jobs
        state = {"state": str(job.state), "raw_state": job.raw_state}
        run.ledger.write(attempt, "adopted", job=job.name, **state)
    return jobs


def _withdraw(run: Run) -> None:
    """Let no shard that was held back be submitted as jobs end."""
    for attempt in run.attempts():
        if attempt.stage == "unsent" and is_held(attempt):
            run.ledger.write(attempt, "withdrawn")


def _asked_to_stop(client: Client, job: BatchJob) -> bool:
    """Whether the job was still there to be stopped."""
    try:
        client.batches.cancel(job.name)
    except NotFoundError:
        return False
    except InvalidRequestError:
        now = _known(client, job.name)
        if now is not None and not now.is_complete:
            raise
        return False  # it has ended in the meantime
    return True


def _in_words(jobs: int, unsent: int, *, dry_run: bool) -> str:
    named = "1 job" if jobs == 1 else f"{jobs:,} jobs"
    if not jobs:
        said = "no job is under way"
    elif dry_run:
        said = f"a dry run: {named} would be asked to stop"
    else:
        said = f"{named} asked to stop; what they have done is paid for, and can be collected"
    left = "1 shard has" if unsent == 1 else f"{unsent:,} shards have"
    return f"{said}; {left} no job, and stay as they are" if unsent else said
