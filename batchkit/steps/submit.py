"""Submit: every shard gets its job, exactly one, as far as the service takes them now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.courier import Courier
from batchkit.display.live import shown
from batchkit.errors import InvalidRequestError, RateLimitedError, SetupError, TooLargeError
from batchkit.events import Said, Sent
from batchkit.rundir import opened
from batchkit.service.client import client_for
from batchkit.targets.target import target_named
from batchkit.wire import dialect_for

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.courier import JobsByName
    from batchkit.events import Progress
    from batchkit.rundir import Run
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

    Rows that `retry` has built to be asked again are shards of their own. A shard that has a job is
    left alone, also when a copy of the run directory made the job. After a create that was not
    answered, the job is looked for by its name, for `settle_seconds`, before another is created;
    AmbiguousJobError when there are several. When the service takes no more jobs now (429), the
    others stay unsent and the Submission says so: submit again as jobs end. Refusing a part of a
    job that is bisected settles that part. Other refusals raise a ServiceError; nothing of the run
    is lost.
    """
    run = opened(run)
    way = target or run.shards.target
    _check_target(run, way)
    with shown(progress) as tell, run.hold():
        used = client_for(run.definition.dialect.service, client)
        courier = Courier(run, used, tell, settle_seconds)
        run.check_account(courier.client.account)
        return _sent(courier, way)


def _sent(courier: Courier, way: str) -> Submission:
    tell = courier.tell
    asked = [(s, attempt) for s, attempt in courier.run.asked() if not attempt.last("closed")]
    sent, total = 0, len(asked)
    jobs = _jobs(courier, way)
    tell(Sent(0, total))
    for shard, attempt in asked:
        if attempt.stage in _OPEN:
            try:
                courier.send(shard, attempt, way, jobs)
            except RateLimitedError as error:
                said = f"{sent} of {total} shards have a job; the service takes no more now"
                tell(Said(f"{said}: {error.message}", is_warning=True))
                return Submission(sent, total, error)
            except InvalidRequestError as error:
                refused = courier.run.ledger.attempt(attempt.shard, attempt.number)
                if not (refused.is_half and refused.is_refused):
                    raise
                courier.run.ledger.close(refused)
                tell(Said(f"shard {shard.name} is refused: {error.message}", is_warning=True))
                total -= 1
                continue
        sent += 1
        tell(Sent(sent, total))
    return Submission(sent, total)


def _jobs(courier: Courier, way: str) -> JobsByName:
    """The jobs there are before any is created; none are needed where none is to be created.

    Raises before anything is sent when what is to be created has no place.
    """
    asked = courier.run.asked()
    unsent = [(shard, attempt) for shard, attempt in asked if attempt.stage in _OPEN]
    if not unsent:
        return {}
    for place in filter(None, (way, courier.run.definition.output)):
        target_named(place).check(courier.client, place)
    jobs = courier.jobs()
    for shard, attempt in unsent:
        courier.check(shard, attempt, way, jobs)
    return jobs


def _check_target(run: Run, name: str) -> None:
    """Raise for requests that cannot travel this way, before any is sent."""
    target, spec = target_named(name), run.definition.spec
    dialect = dialect_for(target.service, spec.kind, spec.model, table=target.is_table)
    if dialect.name != run.definition.dialect.name:
        message = f"{run.folder} was built for another service than {name}: build it for that one"
        raise SetupError(message)
    largest = target.largest_shard(run.definition.limits)
    for shard, _ in run.asked():
        if shard.bytes > largest:
            message = f"shard {shard.name} has {shard.bytes:,} bytes, {name} takes {largest:,}"
            raise TooLargeError(0, "TOO_LARGE", message, (), "submit")
