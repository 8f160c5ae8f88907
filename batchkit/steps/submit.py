"""Submit: every shard gets its job, exactly one, as far as the service takes them now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.courier import Courier
from batchkit.display.live import shown
from batchkit.errors import RateLimitedError, SetupError, TooLargeError
from batchkit.events import Said, Sent
from batchkit.rundir import opened
from batchkit.service.client import Gemini, client_for
from batchkit.targets.file import tell_room
from batchkit.targets.target import target_named
from batchkit.wire import dialect_for

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.courier import JobsByName
    from batchkit.events import Progress
    from batchkit.rundir import Run, Shard
    from batchkit.service.client import Client

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
    client: Client | None = None,
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
    _check_target(run, way)
    shards = _sendable(run)
    sent, total = 0, len(shards)
    with shown(progress) as tell, run.hold():
        used = client_for(run.definition.dialect.service, client)
        courier = Courier(run, used, tell, settle_seconds)
        run.check_account(courier.client.account)
        jobs = _jobs(run, courier, way)
        tell(Sent(0, total))
        for shard in shards:
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


def _jobs(run: Run, courier: Courier, way: str) -> JobsByName:
    """The jobs there are before any is created; none are needed where none is to be created.

    Raises before anything is sent when what is to be created has no place.
    """
    attempts = [(shard, run.ledger.attempts(shard.name)[-1]) for shard in _sendable(run)]
    unsent = [(shard, attempt) for shard, attempt in attempts if attempt.stage in _OPEN]
    if not unsent:
        return {}
    for place in filter(None, (way, run.definition.output)):
        target_named(place).check(courier.client, place)
    jobs = courier.jobs()
    for shard, attempt in unsent:
        courier.check(shard, attempt, way, jobs)
    if isinstance(courier.client, Gemini) and way == "file":
        tell_room(courier.client, sum(shard.bytes for shard, _ in unsent), courier.tell)
    return jobs


def _sendable(run: Run) -> list[Shard]:
    return [shard for shard in run.shards.shards if shard.requests]


def _check_target(run: Run, name: str) -> None:
    """Raise for requests that cannot travel this way, before any is sent."""
    target, spec = target_named(name), run.definition.spec
    dialect = dialect_for(target.service, spec.kind, spec.model, table=target.is_table)
    if dialect.name != run.definition.dialect.name:
        message = f"{run.folder} was built for another service than {name}: build it for that one"
        raise SetupError(message)
    largest = target.largest_shard(run.definition.limits)
    for shard in run.shards.shards:
        if shard.bytes > largest:
            message = f"shard {shard.name} has {shard.bytes:,} bytes, {name} takes {largest:,}"
            raise TooLargeError(0, "TOO_LARGE", message, (), "submit")
