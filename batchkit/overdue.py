"""What is done with a job that is past its deadline: it is kept, or cancelled and asked anew."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from batchkit.claims import Terms, claims_of, times_asked
from batchkit.damage import reading
from batchkit.errors import (
    InvalidRequestError,
    NotFoundError,
    RateLimitedError,
    ServiceFailureError,
)
from batchkit.events import Said
from batchkit.harvest import make_outcomes
from batchkit.layout import ROW
from batchkit.patience import span
from batchkit.repeats import Repeats, sweep_unbuilt
from batchkit.service.job import JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchkit.events import Event, Progress
    from batchkit.ledger import Attempt
    from batchkit.patience import Deadline, Late
    from batchkit.rundir import Run, Shard
    from batchkit.service.client import Client

__all__ = ["Keep", "Resplit"]


class Keep:
    """Says once of each job that is past its deadline that it is, and lets it go on.

    `why` is why it was not cancelled, where that was asked for.
    """

    def __init__(self, tell: Progress, deadline: Deadline, why: str = "") -> None:
        self._tell = tell
        self._deadline = deadline.seconds or 0.0
        self._why = why
        self._said: set[str] = set()

    def advance(self, late: Sequence[Late]) -> None:
        """Say of which jobs it was not said."""
        for shard, attempt, job in late:
            if attempt.name not in self._said:
                self._said.add(attempt.name)
                said = f"shard {shard.name}: {job.name} is {job.state} past its deadline of"
                goes_on = f"{span(self._deadline)}; it goes on{self._why}"
                self._tell(Said(f"{said} {goes_on}", is_warning=True))


class Resplit:
    """Cancels jobs that are past their deadline, and has the rows they left asked in smaller ones.

    The fact `overdue` is written before a job is cancelled, so that whoever drives the run next
    goes on from there. A job is left to go on when one of its rows could not be asked again.
    """

    def __init__(self, run: Run, client: Client, tell: Progress, deadline: Deadline) -> None:
        self._run = run
        self._client = client
        self._tell = tell
        self._deadline = deadline.seconds or 0.0
        self._max_attempts = deadline.max_attempts
        why = f": rows of it were asked {self._max_attempts} times, or with a raised limit"
        self._kept = Keep(tell, deadline, why)
        self._cancelled: set[str] = set()
        self._settled: set[str] = set()

    def advance(self, late: Sequence[Late]) -> None:
        """Cancel what is late, and build the rows of what has ended since; the run must be held."""
        for each in late:
            shard, attempt, job = each
            if attempt.last("overdue") is None:
                if not self._may_be_asked_again(attempt):
                    self._kept.advance([each])
                    continue
                self._run.ledger.write(attempt, "overdue", job=job.name, seconds=self._deadline)
            if attempt.name not in self._cancelled and job.state is not JobState.CANCELLING:
                self._cancel(shard, attempt, job.name)
        self._build()

    def _may_be_asked_again(self, attempt: Attempt) -> bool:
        """Whether every row of the attempt may be asked once more after it, in the same way."""
        if attempt.max_output_tokens is not None:
            return False
        if attempt.number == 1:
            return self._max_attempts > 1
        shard = next(each for each in self._run.shards.shards if each.name == attempt.shard)
        path = self._run.rows_path(attempt.asked_name)
        with reading(path):
            rows = pq.read_table(path, columns=[ROW]).column(0).to_numpy() - shard.first_row
        return int(times_asked(self._run, shard)[rows].max()) + 1 < self._max_attempts

    def _cancel(self, shard: Shard, attempt: Attempt, job: str) -> None:
        try:
            self._client.batches.cancel(job)
        except (RateLimitedError, ServiceFailureError) as error:
            self._tell(Said(f"shard {shard.name}: {error}", is_warning=True))
            return  # the next round tries again
        except (InvalidRequestError, NotFoundError):
            pass  # it has ended in the meantime, or is gone: the next look says which
        self._cancelled.add(attempt.name)
        said = f"shard {shard.name}: {job} is past its deadline of {span(self._deadline)}"
        self._tell(Said(f"{said}, and is asked to stop", is_warning=True))

    def _build(self) -> None:
        """Build attempts at the rows that cancelled jobs left unanswered, once these are home."""
        ended: defaultdict[str, set[int]] = defaultdict(set)
        for attempt in self._run.attempts():
            is_home = attempt.stage == "fetched" and attempt.last("overdue") is not None
            if is_home and attempt.name not in self._settled:
                ended[attempt.shard].add(attempt.number)
                self._settled.add(attempt.name)
        if not ended:
            return
        make_outcomes(self._run, "local", _silent)
        sweep_unbuilt(self._run)
        for shard in self._run.shards.shards:
            if shard.name in ended:
                self._resplit(shard, ended[shard.name])

    def _resplit(self, shard: Shard, ended: set[int]) -> None:
        claims = claims_of(self._run, shard, Terms(self._max_attempts, of=ended))
        limits = self._run.definition.limits
        built = [
            attempt
            for claim in claims.claims
            for attempt in Repeats(self._run, shard, claim, limits, is_awaited=True).build()
        ]
        rows = sum(self._run.asked_by(shard, attempt).requests for attempt in built)
        if built:
            jobs = "1 smaller job" if len(built) == 1 else f"{len(built):,} smaller jobs"
            said = f"shard {shard.name}: rows without an answer are asked again, {rows:,}"
            self._tell(Said(f"{said} in {jobs}"))


def _silent(_: Event) -> None:
    pass
