"""Which faults befall which calls, jobs and rows; a job keeps what befalls it, restarts or not."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from batchkit.emulator.clock import nanoseconds
from batchkit.emulator.faults import CallFault, Fault, JobFault, RowFault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchkit.emulator.jobs import Job
    from batchkit.emulator.state import State

__all__ = ["Fate"]

_TABLES = "CREATE TABLE IF NOT EXISTS faults (job_id TEXT, kind TEXT, body BLOB);"
_OF_JOB = "SELECT body FROM faults WHERE job_id = ? ORDER BY rowid"
_OF_KIND = "SELECT job_id, body FROM faults WHERE kind = ?"
_ENDS = frozenset({"expire", "fail", "cancel"})
_ONE_OF = _ENDS | {"stick"}
_FOR_EVER = nanoseconds(float("inf"))


@dataclass(slots=True)
class _Armed:
    """A fault, how often it is still to befall something, and how many calls it lets pass."""

    fault: Fault
    left: float
    skip: int = 0


class Fate:
    """The faults of one emulator: those that may still come, and those of its jobs."""

    def __init__(self, state: State, faults: Iterable[Fault] = ()) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []
        self._counts: Counter[str] = Counter()
        state.define(_TABLES)
        self.inject(*faults)

    def inject(self, *faults: Fault) -> None:
        """Have these befall what comes from now on, beside and after those there are."""
        with self._lock:
            for fault in faults:
                left = float("inf") if fault.times is None else fault.times
                skip = fault.skip if isinstance(fault, CallFault) else 0
                self._armed.append(_Armed(fault, left, skip))

    def heal(self) -> None:
        """Have nothing befall calls and new jobs; jobs keep what has befallen them."""
        with self._lock:
            self._armed.clear()

    def counts(self) -> dict[str, int]:
        """How many calls, jobs and rows each kind of fault has befallen since the start."""
        with self._lock:
            return dict(self._counts)

    def count(self, kinds: Iterable[str]) -> None:
        """Count what has befallen rows."""
        with self._lock:
            self._counts.update(kinds)

    def of_call(self, name: str) -> CallFault | None:
        """What befalls a call of this name, one fault at most."""
        with self._lock:
            for armed in self._armed:
                fault = armed.fault
                if not isinstance(fault, CallFault) or fault.on not in {name, "any"}:
                    continue
                if armed.skip:
                    armed.skip -= 1
                elif armed.left:
                    armed.left -= 1
                    self._counts[fault.kind] += 1
                    return fault
        return None

    def befall(self, job: Job, expires_waiting: int) -> Job:
        """A job about to be kept, as it is planned now, in the transaction that keeps it.

        `expires_waiting` is the end of one that only waits.
        """
        chosen = self._chosen()
        with self._state.transaction() as database:
            database.executemany(
                "INSERT INTO faults VALUES (?, ?, ?)",
                [(job.id, each.kind, orjson.dumps(asdict(each))) for each in chosen],
            )
        if any(each.kind == "stick" for each in chosen):
            never = job.created + _FOR_EVER
            return replace(job, starts=never, due=never, expires=expires_waiting)
        return job

    def end_of(self, job: Job) -> JobFault | None:
        """The fault that ends a job in place of its success."""
        found = (fault for fault in self._of_job(job) if fault["kind"] in _ENDS)
        return next((JobFault(**fault) for fault in found), None)

    def of_rows(self, job: Job) -> list[RowFault]:
        """What befalls rows of a job."""
        return [RowFault(**fault) for fault in self._of_job(job) if "share" in fault]

    def hidden(self, jobs: Iterable[Job], at: int) -> set[str]:
        """The ids of those jobs that no list shows yet."""
        seconds = {name: orjson.loads(body)["seconds"] for name, body in self._of_kind("hide")}
        return {
            job.id
            for job in jobs
            if job.id in seconds and at < job.created + nanoseconds(seconds[job.id])
        }

    def _chosen(self) -> list[JobFault | RowFault]:
        """What befalls the next job: all that is in force, but only one end of it."""
        chosen: list[JobFault | RowFault] = []
        is_decided = False
        with self._lock:
            for armed in self._armed:
                fault = armed.fault
                is_end = fault.kind in _ONE_OF
                if isinstance(fault, CallFault) or not armed.left or (is_end and is_decided):
                    continue
                is_decided = is_decided or is_end
                armed.left -= 1
                chosen.append(fault)
                if isinstance(fault, JobFault):
                    self._counts[fault.kind] += 1
        return chosen

    def _of_job(self, job: Job) -> list[dict[str, Any]]:
        return [orjson.loads(body) for (body,) in self._state.rows(_OF_JOB, job.id)]

    def _of_kind(self, kind: str) -> list[tuple[str, bytes]]:
        return self._state.rows(_OF_KIND, kind)
