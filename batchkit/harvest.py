"""What has come back: jobs are looked at, outputs fetched, and responses become outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchkit import durable
from batchkit.engines import check_done, engine_named
from batchkit.events import Collected
from batchkit.service.client import client_for
from batchkit.tasks import CollectTask, run_collect
from batchkit.verdict import verdict_of
from batchkit.watch import Watch

if TYPE_CHECKING:
    from batchkit.engines import Engine
    from batchkit.events import Progress
    from batchkit.ledger import Attempt
    from batchkit.rundir import Run
    from batchkit.service.client import Client

__all__ = ["harvest", "make_outcomes"]


def harvest(run: Run, client: Client | None, engine: str | Engine, tell: Progress) -> None:
    """Write the outcomes of every attempt that has ended; the run must be held.

    Jobs that run are looked at once; where none does, no client is needed. Rows that stay in
    BigQuery have their outcomes there.
    """
    durable.sweep(run.folder)
    if any(attempt.stage in {"running", "ended"} for attempt in run.attempts()):
        watch = Watch(run, client_for(run.definition.dialect.service, client), tell)
        run.check_account(watch.client.account)
        watch.advance()
    if run.definition.resident is None:
        make_outcomes(run, engine, tell)


def make_outcomes(run: Run, engine: str | Engine, tell: Progress) -> None:
    """Write the outcomes of every attempt whose output is on disk."""
    tasks = _tasks(run)
    durable.make_folder(run.folder / "outcomes")
    for done, _ in enumerate(engine_named(engine).map(run_collect, tasks), start=1):
        tell(Collected(min(done, len(tasks)), len(tasks)))
    check_done(sum(task.marker.exists() for task in tasks), len(tasks))


def _tasks(run: Run) -> list[CollectTask]:
    return [
        CollectTask(
            str(run.folder),
            attempt.shard,
            attempt.number,
            verdict_of(attempt),
            _response_bytes(attempt),
        )
        for attempt in run.attempts()
        if attempt.stage == "fetched"
    ]


def _response_bytes(attempt: Attempt) -> int | None:
    """The size that its responses came with, None where there are none."""
    fetched = attempt.last("fetched")
    return fetched.content.get("bytes") if fetched else None
