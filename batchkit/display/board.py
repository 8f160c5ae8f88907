"""The state of a run's work as lines with bars, kept up to date by events."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batchkit.events import Built, Collected, Event, Polled, Said, Sent, Transferred

if TYPE_CHECKING:
    from batchkit.service.job import BatchJob

__all__ = ["Board"]

_DELETED = "deleted"  # how a run says that the service no longer knows a job
_WIDTH = 110
_HEIGHT = 18
_NAME_WIDTH = len("download")
_BAR_WIDTHS = (6, 32)
_TEXT_WIDTH = 50  # beside a name and the narrowest bars


@dataclass(frozen=True, slots=True)
class _Job:
    """What is kept of a job; the job itself may hold all its inlined responses."""

    name: str
    state: str
    has_ended: bool
    requests: int
    done: int
    done_at_first: int

    @classmethod
    def seen(cls, event: Polled, before: _Job | None) -> _Job:
        job = event.job
        stats, ended = job.completion_stats, _has_ended(job)
        done = event.requests if ended else stats.done_count if stats else 0
        first = before.done_at_first if before else done
        state = _DELETED if job.raw_state == _DELETED else str(job.state)
        return cls(job.name, state, ended, event.requests, done, first)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the board; of an unknown total the bar only shows that something moves."""

    name: str
    done: float
    total: float | None
    text: str

    def bar(self, width: int) -> ProgressBar:
        if self.total is None:
            return ProgressBar(total=None, width=width)
        return ProgressBar(
            total=self.total or 1, completed=self.done or not self.total, width=width
        )


@dataclass
class Board:
    """Everything on the screen; `update` takes an event, `render` gives the lines as a table.

    A step's line stays when the step is done, a job's line goes when the job has ended.
    """

    built: Built | None = None
    sent: Sent | None = None
    collected: Collected | None = None
    transfers: dict[str, Transferred] = field(default_factory=dict[str, Transferred])
    jobs: dict[str, _Job] = field(default_factory=dict[str, _Job])
    began_waiting: float | None = None
    last_looked: float = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.built or self.sent or self.collected or self.transfers or self.jobs)

    def update(self, event: Event) -> None:
        """Take in what happened."""
        match event:
            case Built():
                self.built = event
            case Sent():
                self.sent = event
            case Collected():
                self.collected = event
                self.transfers.clear()
            case Transferred():
                self.transfers[event.shard] = event
                if event.total is not None and event.bytes >= event.total:
                    del self.transfers[event.shard]
            case Polled():
                self.last_looked = time.monotonic()
                self.began_waiting = self.began_waiting or self.last_looked
                self.jobs[event.shard] = _Job.seen(event, self.jobs.get(event.shard))
            case Said():
                pass  # a line of its own, above the board

    def milestone(self, event: Event) -> str | None:
        """What an event that was taken in has brought to an end, in words."""
        match event:
            case Built(rows=rows, total=total) if rows == total:
                return f"built {_counted(total, 'row')}"
            case Sent(shards=shards, total=total) if shards == total:
                return f"submitted {_counted(total, 'job')}"
            case Collected(files=files, total=total) if files == total:
                return f"collected {_counted(total, 'file')}"
            case Polled(shard=shard, job=job) if _has_ended(job):
                return f"job {job.name} {self.jobs[shard].state}, {self._ended:,} ended"
            case _:
                return None

    def render(
        self, width: int = _WIDTH, height: int = _HEIGHT, *, is_final: bool = False
    ) -> Table:
        """The lines, each one line of a screen of that size, jobs as many as there is room for.

        The final ones leave out what is different each time, such as seconds.
        """
        least, most = _BAR_WIDTHS
        bar_width = min(most, max(least, (width - _NAME_WIDTH - _TEXT_WIDTH - 2) // 2))
        room = width - _NAME_WIDTH - bar_width - 3  # two gaps; old versions of rich pad the end
        above, below = self._steps_before(), self._steps_after(room, is_final=is_final)
        jobs = self._running(max(1, height - len(above) - len(below)))
        table = Table.grid(padding=(0, 1))
        table.add_column(min_width=_NAME_WIDTH, no_wrap=True)
        table.add_column(min_width=bar_width)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for line in [*above, *jobs, *below]:
            bar = line.bar(bar_width) if line.name else ""
            table.add_row(Text(line.name), bar, Text(line.text))
        return table

    @property
    def _ended(self) -> int:
        return sum(1 for job in self.jobs.values() if job.has_ended)

    def _steps_before(self) -> list[_Line]:
        lines: list[_Line] = []
        if self.built:
            lines.append(_step("build", self.built.rows, self.built.total, "rows"))
        if self.sent:
            lines.append(_step("submit", self.sent.shards, self.sent.total, "jobs"))
        return [*lines, *map(_transfer, self.transfers.values())]

    def _running(self, room: int) -> list[_Line]:
        """Jobs that have not ended, those at work first; more than fit are counted by state."""
        running = [item for item in self.jobs.items() if not item[1].has_ended]
        running.sort(key=lambda item: (item[1].done == 0, item[0]))
        shown = running if len(running) <= room else running[: room - 1]
        counts = [f"{job.done:,}/{job.requests:,}" for _, job in shown]
        places = max(map(len, counts), default=0)
        lines = [
            _Line(shard, job.done, job.requests, f"{count:>{places}} {job.state}, {job.name}")
            for (shard, job), count in zip(shown, counts, strict=True)
        ]
        if len(shown) < len(running):
            states = Counter(job.state for _, job in running[len(shown) :])
            said = ", ".join(f"{count:,} {state}" for state, count in states.items())
            lines.append(_Line("", 0, 0, f"and {said}"))
        return lines

    def _steps_after(self, room: int, *, is_final: bool) -> list[_Line]:
        lines: list[_Line] = []
        if self.jobs:
            lines.append(self._overall(room, is_final=is_final))
        if self.collected:
            lines.append(_step("collect", self.collected.files, self.collected.total, "files"))
        return lines

    def _overall(self, room: int, *, is_final: bool) -> _Line:
        jobs = self.jobs.values()
        total, done = sum(job.requests for job in jobs), sum(job.done for job in jobs)
        known = max(len(jobs), self.sent.total if self.sent else 0)
        requests = f"{done:,}/{total:,} requests"
        ended = f"{self._ended:,}/{known:,} jobs ended"
        if is_final or self.began_waiting is None:
            return _Line("wait", done, total, f"{requests}, {ended}")
        now = time.monotonic()
        elapsed = now - self.began_waiting
        if self._ended == known:
            return _Line("wait", done, total, f"{requests}, {ended} in {_clock(elapsed)}")
        said = ended
        since = done - sum(job.done_at_first for job in jobs)
        if since:
            expected = total * known / len(jobs)  # shards without a job are as large as others
            left = (self.last_looked - self.began_waiting) * (expected - done) / since
            said += f", about {_clock(max(0.0, left - (now - self.last_looked)))} left"
        texts = (f"{requests}, {said}, {_clock(elapsed)} so far", f"{requests}, {said}", said)
        return _Line("wait", done, total, next((t for t in texts if len(t) <= room), said))


def _has_ended(job: BatchJob) -> bool:
    return job.is_complete or job.raw_state == _DELETED


def _step(name: str, done: int, total: int, unit: str) -> _Line:
    return _Line(name, done, total, f"{done:,}/{total:,} {unit}")


def _transfer(event: Transferred) -> _Line:
    name = "upload" if event.is_upload else "download"
    of = "" if event.total is None else f"/{event.total / 1e6:,.1f}"
    return _Line(name, event.bytes, event.total, f"{event.bytes / 1e6:,.1f}{of} MB, {event.shard}")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if days else f"{hours}:{minutes:02}:{rest:02}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
