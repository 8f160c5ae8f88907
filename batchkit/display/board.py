"""The state of a run's work as lines with bars, kept up to date by events."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batchkit.events import Built, Collected, Event, Polled, Said, Sent, Transferred

if TYPE_CHECKING:
    from batchkit.service.job import BatchJob

__all__ = ["Board"]

_MOST_JOBS = 12
_BAR_WIDTH = 32


@dataclass
class Board:
    """Everything on the screen; `update` takes an event, `render` gives the lines as a table.

    A step's line stays when the step is done, a job's line goes when the job has ended.
    """

    built: Built | None = None
    sent: Sent | None = None
    collected: Collected | None = None
    transfers: dict[str, Transferred] = field(default_factory=dict[str, Transferred])
    jobs: dict[str, Polled] = field(default_factory=dict[str, Polled])
    began_waiting: float | None = None

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
            case Transferred():
                self.transfers[event.shard] = event
                if event.total is not None and event.bytes >= event.total:
                    del self.transfers[event.shard]
            case Polled():
                self.began_waiting = self.began_waiting or time.monotonic()
                self.jobs[event.shard] = event
            case Said():
                pass  # a line of its own, above the board

    def milestone(self, event: Event) -> str | None:
        """What an event that was taken in has brought to an end, in words."""
        match event:
            case Built(rows=rows, total=total) if rows == total:
                return f"built {total:,} rows"
            case Sent(shards=shards, total=total) if shards == total:
                return f"submitted {total:,} jobs"
            case Collected(files=files, total=total) if files == total:
                return f"collected {total:,} files"
            case Polled(job=job) if job.is_complete:
                ended = sum(1 for polled in self.jobs.values() if polled.job.is_complete)
                return f"job {job.name} {job.state}, {ended:,} ended"
            case _:
                return None

    def render(self, *, is_final: bool = False) -> Table:
        """The lines; the final ones leave out what is different each time, such as seconds."""
        table = Table.grid(padding=(0, 1))
        if self.built:
            _add(table, "build", (self.built.rows, self.built.total), "rows")
        if self.sent:
            _add(table, "submit", (self.sent.shards, self.sent.total), "jobs")
        for transfer in self.transfers.values():
            name = f"{'upload' if transfer.is_upload else 'download'} {transfer.shard}"
            _add(table, name, (transfer.bytes / 1e6, (transfer.total or 0) / 1e6), "MB")
        running = [polled for polled in self.jobs.values() if not polled.job.is_complete]
        for polled in running[:_MOST_JOBS]:
            name = f"{polled.shard} {polled.job.state}"
            _add(table, name, (_done(polled.job), polled.requests), polled.job.name)
        if len(running) > _MOST_JOBS:
            table.add_row("", Text(f"… and {len(running) - _MOST_JOBS} more jobs"))
        if self.jobs:
            self._add_overall(table, len(running), is_final=is_final)
        if self.collected:
            _add(table, "collect", (self.collected.files, self.collected.total), "files")
        return table

    def _add_overall(self, table: Table, running: int, *, is_final: bool) -> None:
        total = sum(polled.requests for polled in self.jobs.values())
        done = sum(
            polled.requests if polled.job.is_complete else _done(polled.job)
            for polled in self.jobs.values()
        )
        said = f"requests, {len(self.jobs) - running} of {len(self.jobs)} jobs ended"
        if not is_final and self.began_waiting is not None:
            elapsed = time.monotonic() - self.began_waiting
            said += f" · {_clock(elapsed)}"
            if 0 < done < total:
                said += f" · about {_clock(elapsed * (total - done) / done)} left"
        _add(table, "wait", (done, total), said)


def _done(job: BatchJob) -> int:
    return job.completion_stats.done_count if job.completion_stats else 0


def _clock(seconds: float) -> str:
    return str(dt.timedelta(seconds=round(seconds)))


def _add(table: Table, name: str, of: tuple[float, float], unit: str) -> None:
    done, total = of
    bar = ProgressBar(total=max(total, 1), completed=done if total else 1, width=_BAR_WIDTH)
    table.add_row(Text(name), bar, Text(f"{done:,.0f}/{total:,.0f} {unit}"))
