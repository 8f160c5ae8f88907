"""Submit: every shard gets its job, exactly one, as far as the service takes them now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchkit.courier import Courier
from batchkit.dispatch import Dispatch, Submission
from batchkit.display.live import shown
from batchkit.errors import SetupError, TooLargeError
from batchkit.rundir import opened
from batchkit.service.client import client_for
from batchkit.targets.target import target_named
from batchkit.wire import dialect_for

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.events import Progress
    from batchkit.rundir import Run
    from batchkit.service.client import Client

__all__ = ["Submission", "submit"]


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
    AmbiguousJobError when there are several. What the service takes no more of now (429), or what
    exceeds `max_jobs` and `max_enqueued_tokens` of the run's limits, stays unsent, and the
    Submission says so: `wait` submits it as jobs end. Refusing a part of a
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
        return Dispatch(courier, way).send()


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
