"""How long a job may take: by a deadline, and by what the other jobs of its run took."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from batchkit.errors import SetupError
from batchkit.events import Said
from batchkit.limits import service_limit
from batchkit.service.job_json import read_time

if TYPE_CHECKING:
    from batchkit.events import Progress
    from batchkit.ledger import Attempt
    from batchkit.rundir import Run, Shard
    from batchkit.service.job import BatchJob

__all__ = ["Deadline", "Late", "OnDeadline", "Patience", "span"]

# Far longer than the longest of the others, and longer than a queue may be for a while.
_TIMES_LONGER = 3
_LEAST_SECONDS = 1800.0
_GOOD_ENDS = frozenset({"succeeded", "partially_succeeded"})
_UNITS = ((172_800, 86_400, "days"), (7_200, 3600, "h"), (120, 60, "min"), (0, 1, "s"))

OnDeadline: TypeAlias = Literal["keep", "cancel_and_resplit"]
Late: TypeAlias = "tuple[Shard, Attempt, BatchJob]"


@dataclass(frozen=True, slots=True)
class Deadline:
    """How many seconds after its creation a job is to have ended, and what is done if not.

    None for ever. Rows that are asked again then are asked `max_attempts` times in all at most.
    SetupError for one that means nothing.
    """

    seconds: float | None = None
    then: OnDeadline = "keep"
    max_attempts: int = 3

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.seconds > 0:
            message = f"deadline={self.seconds:g}: no job has ended by then"
            raise SetupError(message)
        if self.then == "keep":
            return
        if self.then != "cancel_and_resplit":
            message = f"on_deadline={self.then!r}: it is 'keep' or 'cancel_and_resplit'"
            raise SetupError(message)
        if self.seconds is None:
            message = f"on_deadline={self.then!r} needs a deadline="
            raise SetupError(message)
        if self.max_attempts < 2:  # noqa: PLR2004  # once, and once more
            message = f"on_deadline={self.then!r}: rows that may be asked once are not asked again"
            raise SetupError(message)


class Patience:
    """Looks at each job of a run for as long as it takes; says once which have stalled.

    A job has stalled that shows no progress for three times as long as the longest of the run's
    jobs that ended well, at least half an hour; or, with none of these, and at most, for as long
    as the service documents that a job takes.
    """

    def __init__(self, run: Run, tell: Progress, deadline: Deadline) -> None:
        self._run = run
        self._tell = tell
        self._deadline = deadline.seconds
        self._documented = float(
            service_limit(run.definition.dialect.service, "turnaround_seconds")
        )
        self._longest = max(filter(None, map(_seconds_taken, run.attempts())), default=None)
        self._progress: dict[str, tuple[tuple[str, int], float]] = {}
        self._said: set[str] = set()
        self._late: list[Late] = []

    def see(self, shard: Shard, attempt: Attempt, job: BatchJob) -> None:
        """Take in a job as it is now."""
        if attempt.stage != "running":
            self._longest = max(
                filter(None, (self._longest, _seconds_taken(attempt))), default=None
            )
            return
        now = time.time()
        idle = now - self._last_progress(attempt, job, now)
        if idle > self._longest_pause() and attempt.name not in self._said:
            self._said.add(attempt.name)
            self._tell(Said(self._stalled(shard, job, idle), is_warning=True))
        if self._deadline is not None and now - _begun(attempt, job) > self._deadline:
            self._late.append((shard, attempt, job))

    def late(self) -> list[Late]:
        """The jobs that were past the deadline when they were seen last; each is given once."""
        late, self._late = self._late, []
        return late

    def _last_progress(self, attempt: Attempt, job: BatchJob, now: float) -> float:
        """When the job was first seen as far as it is, by this process."""
        stats = job.completion_stats
        done = stats.done_count if stats else 0
        here = str(job.state), done
        seen = self._progress.get(attempt.name)
        if seen is None:
            self._progress[attempt.name] = here, now if done else _begun(attempt, job)
        elif seen[0] != here:
            self._progress[attempt.name] = here, now
        return self._progress[attempt.name][1]

    def _longest_pause(self) -> float:
        if self._longest is None:
            return self._documented
        return min(max(_LEAST_SECONDS, _TIMES_LONGER * self._longest), self._documented)

    def _stalled(self, shard: Shard, job: BatchJob, idle: float) -> str:
        if self._longest is None:
            usual = f"jobs are documented to take up to {span(self._documented)}"
        else:
            usual = f"the others of this run took up to {span(self._longest)}"
        return (
            f"shard {shard.name}: {job.name} is {job.state}, without progress for {span(idle)}; "
            f"{usual}. It may still end, and expires if not. To ask its rows again in smaller "
            "jobs, wait with a deadline and on_deadline=cancel_and_resplit, or cancel it and retry"
        )


def span(seconds: float) -> str:
    """A time in words, in whole units that leave it two digits or one."""
    unit, name = next((u, n) for least, u, n in _UNITS if seconds >= least or not least)
    return f"{max(0, int(seconds // unit))} {name}"


def _begun(attempt: Attempt, job: BatchJob) -> float:
    """When the job was created, as the service says, or else as we noted it."""
    if job.create_time is not None:
        return job.create_time.timestamp()
    fact = attempt.last("created", "adopted")
    return fact.at if fact else time.time()


def _seconds_taken(attempt: Attempt) -> float | None:
    """How long its job took, if that ended well; longer than nothing."""
    ended, created = attempt.last("ended"), attempt.last("created", "adopted")
    if ended is None or created is None or ended.content.get("state") not in _GOOD_ENDS:
        return None
    times = [read_time(ended.content.get(name)) for name in ("created", "ended")]
    known = [time.timestamp() for time in times if time is not None and time.tzinfo is not None]
    begun, over = known if len(known) == len(times) else (created.at, ended.at)
    return max(over - begun, 1.0)
