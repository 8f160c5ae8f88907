"""The life of a job by the clock: pending, running, and one of four ends.

Nothing runs in the background. What should have happened by now is done when somebody looks, and
looks as if it had happened in time. What its rows are and where its answers go is the work of the
service that the job belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.locks import Locks
from batchkit.emulator.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator.faults import JobFault
    from batchkit.emulator.jobs import EndState, Job, Jobs
    from batchkit.emulator.workspace import Workspace

__all__ = ["Life", "Work", "WorkError"]

# A cancelled operation has an error of code 1: https://google.aip.dev/151. Which error an expired
# one has is not documented.
_ERRORS: dict[str, tuple[int, str]] = {
    "CANCELLED": (Rpc.CANCELLED, "The operation was cancelled."),
    "EXPIRED": (Rpc.DEADLINE_EXCEEDED, "The batch job did not finish in time and has expired."),
    "FAILED": (Rpc.DEADLINE_EXCEEDED, "The batch job did not finish in time."),
}

_STOPPED: dict[str, EndState] = {"expire": "EXPIRED", "fail": "FAILED", "cancel": "CANCELLED"}
_FAILURES: dict[int, str] = {
    Rpc.INVALID_ARGUMENT: "Failed to import data: the requests are not valid.",
    Rpc.INTERNAL: "An internal error has occurred. Please retry.",
}


@dataclass(eq=False)
class WorkError(Exception):
    """What fails a whole job: a google.rpc code, and why."""

    code: int
    message: str

    def __str__(self) -> str:
        return self.message


class Work(Protocol):
    """What the jobs of one service do; each step may be done again after a process was killed."""

    def name(self, job: Job, /) -> str:
        """The job's resource name."""
        ...

    def take(self, job: Job, /) -> Job:
        """Put the job's rows on disk, and return it with their total; WorkError refuses them."""
        ...

    def answer(self, job: Job, /) -> int:
        """Answer all rows, and return how many failed; WorkError when there is no place for it."""
        ...

    def halt(self, job: Job, count: int, at: int, /) -> int:
        """Make of the first rows what the service makes of a job that stops; how many failed."""
        ...

    def late(self, job: Job, /) -> EndState:
        """The end of a job that has not ended in time."""
        ...

    def keep(self, job: Job, /) -> None:
        """Keep what belongs to the end of a job, in the transaction that keeps the end."""
        ...

    def output_blobs(self, job: Job, /) -> tuple[str, ...]:
        """The blobs that a job which has ended still needs."""
        ...


@dataclass(frozen=True, slots=True)
class Life:
    """Moves the jobs of one service to where the clock says they are."""

    workspace: Workspace
    jobs: Jobs
    work: Work
    locks: Locks = field(default_factory=Locks)

    def observe(self, job_id: str) -> Job:
        """A job as it is now; ApiError 404 when there is none."""
        job = self._observed(job_id)
        if job is None:
            raise ApiError(Rpc.NOT_FOUND, "Requested entity was not found.")
        return job

    def settle(self) -> None:
        """Let everything happen that is due by now."""
        for job_id in self.jobs.due(self.workspace.clock.nanoseconds()):
            self._observed(job_id)  # None when somebody deleted it in the meantime

    def cancel(self, job_id: str) -> None:
        """Stop a job: the rows answered so far are paid."""
        with self.locks[job_id]:
            job = self.observe(job_id)
            if not job.state:
                self._halted(job, "CANCELLED", self.workspace.clock.nanoseconds())
        if not job.state:
            self.workspace.effect("batch.cancelled", self.work.name(job))

    def delete(self, job_id: str) -> None:
        """Stop a job if it runs, and forget it; an output file stays until it expires."""
        with self.locks[job_id]:
            job = self.observe(job_id)
            name = self.work.name(job)
            if not job.state:
                self._halted(job, "CANCELLED", self.workspace.clock.nanoseconds())
            self.jobs.drop(job_id)
            self.workspace.blobs.delete(*self.work.output_blobs(job))
        self.workspace.effect("batch.deleted", name)

    def rows(self, job: Job) -> Rows:
        """Where a job's imported requests lie."""
        return Rows(self.workspace.blobs, job.blob)

    def clear(self, job: Job) -> None:
        """Delete the blobs that only a job which can go on needs."""
        self.workspace.blobs.delete(*self._working_blobs(job))

    def blobs(self) -> Iterator[str]:
        """The blobs that jobs still need."""
        for job in self.jobs.all():
            yield from self.work.output_blobs(job) if job.state else self._working_blobs(job)

    def _observed(self, job_id: str) -> Job | None:
        with self.locks[job_id]:
            before = self.jobs.find(job_id)
            if before is None:
                return None
            job = self._advanced(before, self.workspace.clock.nanoseconds())
        if job.state and not before.state:
            kind = "batch.expired" if job.state == "EXPIRED" else "batch.processed"
            self.workspace.effect(kind, self.work.name(job))
        return job

    def _advanced(self, job: Job, now: int) -> Job:
        if not (job.state or job.imported) and job.starts <= min(now, job.expires):
            job = self._imported(job)
        if job.state:
            return job
        if job.due <= min(now, job.expires):
            fault = self.workspace.fate.end_of(job)
            return self._stopped(job, fault) if fault else self._answered(job)
        if job.expires <= now:
            return self._halted(job, self.work.late(job), job.expires)
        return job

    def _imported(self, job: Job) -> Job:
        try:
            taken = self.work.take(job)
        except WorkError as error:
            return self._kept(_failed(job, job.starts, error), processed=0)
        job = replace(taken, imported=True)
        self.jobs.keep(job)
        self.workspace.blobs.delete(job.input_blob)
        return job

    def _answered(self, job: Job) -> Job:
        try:
            failed = self.work.answer(job)
        except WorkError as error:
            return self._kept(_failed(job, job.due, error), processed=job.total)
        job = replace(job, succeeded=job.total - failed, failed=failed)
        return self._kept(_end(job, "SUCCEEDED", job.due), processed=job.total)

    def _halted(self, job: Job, state: EndState, at: int) -> Job:
        return self._partial(job, _end(job, state, at), job.answered(at))

    def _stopped(self, job: Job, fault: JobFault) -> Job:
        """Ended by a fault, at the moment when it would have succeeded."""
        ended = _end(job, _STOPPED[fault.kind], job.due)
        if fault.kind == "fail":
            text = fault.message or _FAILURES.get(fault.code, "The batch job failed.")
            ended = replace(ended, error_code=fault.code, error_message=text)
        return self._partial(job, ended, round(job.total * fault.answered))

    def _partial(self, job: Job, ended: Job, processed: int) -> Job:
        """Ended before all rows were answered: those that were are paid."""
        failed = self.work.halt(job, processed, ended.ended) if processed else 0
        ended = replace(ended, succeeded=processed - failed, failed=failed)
        return self._kept(ended, processed=processed)

    def _kept(self, job: Job, *, processed: int) -> Job:
        """Put an end on disk with all that belongs to it, then drop what led there."""
        with self.workspace.state.transaction():
            if processed:
                self.jobs.count_processed(self.rows(job).wire_keys(processed))
            self.work.keep(job)
            self.jobs.keep(job)
        self.clear(job)
        return job

    def _working_blobs(self, job: Job) -> tuple[str, ...]:
        return (job.input_blob, job.columns_blob, *self.rows(job).blob_names)


def _failed(job: Job, at: int, error: WorkError) -> Job:
    job = _end(job, "FAILED", at)
    return replace(job, error_code=error.code, error_message=error.message)


def _end(job: Job, state: EndState, at: int) -> Job:
    code, message = _ERRORS.get(state, (0, ""))
    return replace(job, state=state, ended=at, error_code=code, error_message=message)
