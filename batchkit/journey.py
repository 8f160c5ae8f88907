"""The whole journey in one call that can be repeated: build, submit, wait, collect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchkit.display.live import shown
from batchkit.errors import CapabilityError
from batchkit.patience import Deadline
from batchkit.rundir import Run
from batchkit.service.client import client_for
from batchkit.steps.build import build
from batchkit.steps.collect import collect
from batchkit.steps.retry import retry
from batchkit.steps.submit import submit
from batchkit.steps.wait import wait
from batchkit.targets.target import target_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchkit.draft import OnBadKey
    from batchkit.engines import Engine
    from batchkit.events import Progress
    from batchkit.patience import OnDeadline
    from batchkit.results import Results
    from batchkit.service.client import Client
    from batchkit.specs.spec import Spec
    from batchkit.tables.opened import TableLike

__all__ = ["run"]


def run(  # noqa: PLR0913  # what a run is, by keyword
    table: TableLike,
    spec: Spec | None,
    *,
    key: str | Sequence[str] | None = None,
    into: str | Path | None = None,
    target: str | None = None,
    output: str | None = None,
    labels: bool = True,
    model: str | None = None,
    carry: Sequence[str] | None = None,
    on_bad_key: OnBadKey = "raise",
    limits: Mapping[str, float] | None = None,
    prefix: str = "",
    flatten: bool = True,
    provenance: bool = False,
    raw: bool = False,
    engine: str | Engine = "local",
    retries: int = 0,
    deadline: float | None = None,
    on_deadline: OnDeadline = "keep",
    pushdown: bool = False,
    client: Client | None = None,
    settle_seconds: float = 60.0,
    poll_seconds: float = 30.0,
    progress: Progress | None = None,
) -> Results:
    """Send each row of a table as a request of a batch, and return every row with its answer.

    This is `build`, `submit`, `wait` and `collect`, whose arguments it takes; it waits as long as
    it takes. Stopped anywhere and called again with the same arguments and `into`, it goes on:
    no row is lost, none is sent twice. Shards that the service does not take yet (429) are
    submitted as jobs end. With `retries`, rows that `retry` would ask again are, that many times at
    most. `on_deadline="cancel_and_resplit"` asks rows again as often as `retries` says, too.
    """
    _check_retries(retries, pushdown=pushdown)
    bound = Deadline(deadline, on_deadline, 1 + retries)
    with shown(progress) as tell:
        if client is None and not _is_done(into):
            # Missing credentials are said before the work, not after it.
            client = client_for(target_named(target or "file").service)
        built = build(
            table,
            spec,
            key=key,
            into=into,
            target=target,
            output=output,
            labels=labels,
            model=model,
            carry=carry,
            on_bad_key=on_bad_key,
            limits=limits,
            prefix=prefix,
            flatten=flatten,
            provenance=provenance,
            raw=raw,
            engine=engine,
            pushdown=pushdown,
            client=client,
            progress=tell,
        )
        finish = _Finish(built, client, settle_seconds, poll_seconds, bound, tell)
        finish()
        for _ in range(retries):
            again = retry(
                built, max_attempts=1 + retries, client=client, engine=engine, progress=tell
            )
            if not again.rows:
                break
            finish()
        return collect(built, client=client, engine=engine, progress=tell)


def _check_retries(retries: int, *, pushdown: bool) -> None:
    if pushdown and retries:
        message = (
            f"retries={retries}: rows that stay in BigQuery (pushdown) are not asked again yet"
        )
        raise CapabilityError(message)


@dataclass(frozen=True, slots=True)
class _Finish:
    """Submits and waits until every shard has had its job and every job has ended."""

    built: Run
    client: Client | None
    settle_seconds: float
    poll_seconds: float
    deadline: Deadline
    tell: Progress

    def __call__(self) -> None:
        if _is_fetched(self.built):
            return
        client = client_for(self.built.definition.dialect.service, self.client)
        settle_seconds, tell = self.settle_seconds, self.tell
        submit(self.built, client=client, settle_seconds=settle_seconds, progress=tell)
        wait(
            self.built,
            client=client,
            poll_seconds=self.poll_seconds,
            deadline=self.deadline.seconds,
            on_deadline=self.deadline.then,
            max_attempts=self.deadline.max_attempts,
            settle_seconds=settle_seconds,
            progress=tell,
        )


def _is_done(into: str | Path | None) -> bool:
    """Whether the directory holds a run that needs the service no more."""
    existing = None if into is None else Run(Path(into).expanduser())
    return existing is not None and existing.is_built and _is_fetched(existing)


def _is_fetched(built: Run) -> bool:
    return all(attempt.stage == "fetched" for attempt in built.attempts())
