"""Submit: every shard gets its job, exactly one, as far as the service takes them now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.courier import Courier
from batchkit.display.live import shown
from batchkit.errors import RateLimitedError, TooLargeError
from batchkit.events import Said, Sent
from batchkit.rundir import opened
from batchkit.service.client import Gemini
from batchkit.targets.target import target_named

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.courier import JobsByName
    from batchkit.events import Progress
    from batchkit.rundir import Run

__all__ = ["Submission", "submit"]

_OPEN = frozenset({"unsent", "sending"})


@dataclass(frozen=True, slots=True)
class Submission:
    """How many shards have a job now, of how many; `held` says why the others have none yet."""

    sent: int
    total: int
    held: RateLimitedError | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every shard has its job."""
        return self.sent == self.total


def submit(
    run: Run | str | Path,
    *,
    client: Gemini | None = None,
    target: str | None = None,
    settle_seconds: float = 60.0,
    progress: Progress | None = None,
) -> Submission:
    """Create a job for each shard that has none; safe to repeat, in any process, on any day.

    A shard that has a job is left alone, also when a copy of the run directory made the job. After
    a create that was not answered, the job is looked for by its name, for `settle_seconds`, before
    another is created; AmbiguousJobError when there are several. When the service takes no
    more jobs now (429), the others stay unsent and the Submission says so: submit again as jobs
    end. Other refusals raise a ServiceError; nothing of the run is lost.
    """
    run = opened(run)
    way = target or run.shards.target
    _check_size(run, way)
    sent, total = 0, sum(1 for shard in run.shards.shards if shard.requests)
    with shown(progress) as tell, run.hold():
        courier = Courier(run, client or Gemini(), tell, settle_seconds)
        run.check_account(courier.client.account)
        jobs = _jobs(run, courier)
        tell(Sent(0, total))
        for shard in run.shards.shards:
            if not shard.requests:
                continue
            attempt = run.ledger.attempts(shard.name)[-1]
            if attempt.stage in _OPEN:
                try:
                    courier.send(shard, attempt, way, jobs)
                except RateLimitedError as error:
                    said = f"{sent} of {total} shards have a job; the service takes no more now"
                    tell(Said(f"{said}: {error.message}", is_warning=True))
                    return Submission(sent, total, error)
            sent += 1
            tell(Sent(sent, total))
    return Submission(sent, total)


def _jobs(run: Run, courier: Courier) -> JobsByName:
    """The jobs there are before any is created; none are needed where none is to be created."""
    is_complete = all(attempt.stage not in _OPEN for attempt in run.attempts())
    return {} if is_complete else courier.jobs()


def _check_size(run: Run, target: str) -> None:
    """Raise TooLargeError for a shard that cannot travel this way, before any is sent."""
    largest = target_named(target).largest_shard(run.definition.limits)
    for shard in run.shards.shards:
        if shard.bytes > largest:
            message = f"shard {shard.name} has {shard.bytes:,} bytes, {target} takes {largest:,}"
            raise TooLargeError(0, "TOO_LARGE", message, (), "submit")
